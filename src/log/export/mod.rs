//! What was read of the log, in forms for other programs and for people.

pub mod pdf;
