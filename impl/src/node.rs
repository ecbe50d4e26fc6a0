//! A node: its drives opened, and the store over them.
