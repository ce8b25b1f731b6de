//! Decisions over records that two parties must make alike. Each rule has an identifier that stands where it is checked and where it is tested.
