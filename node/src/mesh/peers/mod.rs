//! What this node knows of other nodes: who they proved to be, how they behave, and where they were.
//!
//! Code map: [`verified`] (passports shown in hello), [`conduct`] (refusals that count against a peer), [`rate`] (how much one may ask of us),
//! [`remembered`] (the file from which the mesh is found again).

pub(super) mod conduct;
pub(super) mod rate;
pub(super) mod remembered;
pub(super) mod verified;
