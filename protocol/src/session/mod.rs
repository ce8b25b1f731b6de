//! The two ends of a paying session as state machines without input or output.
