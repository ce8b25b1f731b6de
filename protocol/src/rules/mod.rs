//! Decisions over records that two parties must make alike. Each rule has an identifier that stands where it is checked and where it is tested.
//!
//! | identifiers | file | about |
//! | --- | --- | --- |
//! | R-10 to R-19 | [`receipt`] | a receipt against its grant, its price list and the receipt before |
//! | R-20 to R-29 | [`rating`], [`settlement`] | what counters cost, and who gets what of it |
//! | R-30 to R-39 | [`path`], [`metering`] | which rule of a price list a request falls under, and what of it is counted |
//! | R-40 to R-49 | [`passport`] | who a device is |
//! | R-50 to R-59 | [`announcement`] | what is believed about a site |

pub mod announcement;
pub mod metering;
pub mod passport;
pub mod path;
pub mod price;
pub mod rating;
pub mod receipt;
pub mod settlement;
pub mod used;
