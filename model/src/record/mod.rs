//! What the server's registers hold: an object's version history, a part, a bucket.
