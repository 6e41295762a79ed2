//! What a verification needs, told only once the layout is trusted: so that a host runs no command and fetches nothing
//! on the word of an unsigned file.

use serde::Serialize;

use crate::prelude::*;
use crate::verdict::KeyReport;

/// What the trusted layouts of a request demand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Requirements {
    /// Every step, sublayouts' after the root layout's.
    pub steps: Vec<StepRequirement>,
    /// Every inspection whose result a later request must supply.
    pub inspections: Vec<InspectionRequirement>,
    /// The earliest expiry of these layouts, in seconds since 1970.
    pub valid_until: Option<i64>,
}

/// What a step demands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StepRequirement {
    /// The folders of the sublayouts that lead to it.
    pub at: Vec<String>,
    /// Its name.
    pub name: String,
    /// How many distinct keys must have signed.
    pub threshold: u64,
    /// Which keys may.
    pub signers: Vec<KeyReport>,
    /// The names under which their links are usually kept, in the order of the keys.
    pub documents: Vec<String>,
}

/// What an inspection demands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InspectionRequirement {
    /// The folders of the sublayouts that lead to it.
    pub at: Vec<String>,
    /// Its name.
    pub name: String,
    /// The command to run, parameters filled in.
    pub run: Vec<String>,
}
