//! protocol/journal
