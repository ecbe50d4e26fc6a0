//! Each way to break the protocol is noticed, by the rule that it breaks.
