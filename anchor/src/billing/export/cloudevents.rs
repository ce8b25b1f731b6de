//! CloudEvents 1.0: what was used, for OpenMeter and its like. One event for each settled receipt and rule, each a difference; source and id name it for
//! ever, so that one that comes twice is known to be the same.

use madang_protocol::{ids::NetworkId, time::UnixMillis};
use serde::{Deserialize, Serialize};

use crate::store::UsageDelta;

/// The media type of a batch of events: a JSON array of them.
pub const BATCH_MEDIA_TYPE: &str = "application/cloudevents-batch+json";

/// One event, as the JSON format has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloudEvent {
    specversion: String,
    /// Unique below its source: entry, receipt of the entry, rule.
    pub id: String,
    /// The network.
    pub source: String,
    #[serde(rename = "type")]
    kind: String,
    /// The buyer's account.
    pub subject: String,
    /// When it was settled.
    time: String,
    datacontenttype: String,
    /// How much more.
    pub data: Usage,
}

/// How much more was used and paid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Which site.
    pub site: String,
    /// The seller's account.
    pub seller: String,
    /// The pattern of the rule.
    pub rule: String,
    /// Requests.
    pub requests: i64,
    /// Octets.
    pub bytes: i64,
    /// Milliseconds.
    pub milliseconds: i64,
    /// Passes.
    pub passes: i64,
    /// In the currency's main unit, exactly: text, since a JSON number may be rounded.
    pub amount: String,
    /// In which currency.
    pub currency: String,
}

impl CloudEvent {
    /// The event of what was settled in `network`.
    pub fn of(network: NetworkId, used: &UsageDelta) -> Self {
        let UsageDelta {
            entry, at, delta, ..
        } = used;
        Self {
            specversion: "1.0".to_owned(),
            id: format!("{entry}-{at}-{}", delta.rule),
            source: format!("urn:madang:{network}"),
            kind: "madang.usage".to_owned(),
            subject: used.buyer.to_string(),
            time: rfc3339(used.time),
            datacontenttype: "application/json".to_owned(),
            data: Usage {
                site: used.site.clone(),
                seller: used.seller.to_string(),
                rule: used.pattern.clone(),
                requests: delta.requests,
                bytes: delta.bytes,
                milliseconds: delta.milliseconds,
                passes: delta.passes,
                amount: amount(delta.micros),
                currency: used.currency.to_string(),
            },
        }
    }
}

fn rfc3339(time: UnixMillis) -> String {
    time.to_string()
}

fn amount(micros: i64) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    let micros = micros.unsigned_abs();
    format!("{sign}{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

    use madang_protocol::{amount::Currency, ids::AccountId};

    use super::*;
    use crate::ledger::delta::Delta;

    #[test]
    fn an_event_is_pinned() {
        let used = UsageDelta {
            entry: 34,
            at: 2,
            time: UnixMillis(1_795_305_600_001),
            buyer: AccountId([1; 16]),
            seller: AccountId([2; 16]),
            site: "blog--alice".into(),
            pattern: "/reports/**".into(),
            currency: Currency::KRW,
            delta: Delta {
                rule: 5,
                requests: 3,
                bytes: -1,
                milliseconds: 0,
                passes: 0,
                micros: -1_500_000,
            },
        };
        let event = CloudEvent::of(NetworkId([7; 16]), &used);
        assert_eq!(
            serde_json::to_string(&event).unwrap(),
            concat!(
                r#"{"specversion":"1.0","id":"34-2-5","source":"urn:madang:07070707070707070707070707070707","#,
                r#""type":"madang.usage","subject":"01010101010101010101010101010101","time":"2026-11-22T00:00:00.001Z","#,
                r#""datacontenttype":"application/json","data":{"site":"blog--alice","seller":"02020202020202020202020202020202","#,
                r#""rule":"/reports/**","requests":3,"bytes":-1,"milliseconds":0,"passes":0,"amount":"-1.500000","currency":"KRW"}}"#
            )
        );
    }
}
