//! What must hold after every step, by books that the machines do not keep.

use madang_protocol::{
    record::receipt::Counters,
    rules::rating::{Value, list_value},
    session::seller::window_floor,
};

use super::{ACCOUNT, World};
use crate::issuer::START;

impl World {
    pub fn describe(&self) -> String {
        format!(
            "{:?} {:?} {:?} {:?} {:?} {:?}",
            self.stopped,
            self.last_refusal,
            self.wants,
            self.bodies,
            self.exposure.debt(&ACCOUNT),
            self.seller
        )
    }

    /// The bounds of paying, by the test's own books.
    pub(super) fn check(&self) {
        let mut signed = vec![Counters::default(); self.tariff.rules.len()];
        let mut amount = 0;
        for (counters, rated) in self.best.values() {
            amount += rated.micros();
            for (sum, one) in signed.iter_mut().zip(counters) {
                sum.requests += one.requests;
                sum.bytes += one.bytes;
                sum.milliseconds += one.milliseconds;
            }
        }
        assert!(
            amount <= self.budget,
            "signed {amount} of a budget of {}",
            self.budget
        );
        for (rule, sum) in signed.iter().enumerate() {
            assert!(
                sum.bytes <= self.received[rule].bytes,
                "signed for octets that did not come"
            );
            assert!(
                sum.requests <= self.heads[rule],
                "signed for requests without a head"
            );
            assert!(
                sum.milliseconds <= self.open_millis + 2_000,
                "signed for time that did not pass"
            );
        }
        let floor = window_floor(&self.tariff);
        let window = self.exposure.window(&ACCOUNT, floor);
        assert!(
            self.exposure.debt(&ACCOUNT).owed() <= window,
            "an account owes more than its window"
        );
        assert_eq!(self.exposure.total(), self.exposure.debt(&ACCOUNT).owed());
        self.check_loss(&signed, window);
    }

    /// What was sent and never signed for: octets by the test's own books. Receipts on their way are not the seller's loss.
    fn check_loss(&self, signed: &[Counters], window: Value) {
        let octets: Vec<Counters> = signed
            .iter()
            .map(|one| Counters {
                bytes: one.bytes,
                ..Counters::default()
            })
            .collect();
        let has_forgotten = self
            .received
            .first()
            .is_some_and(|one| one.bytes > u64::MAX / 4);
        if !has_forgotten && !self.has_restarted && self.exposure.debt(&ACCOUNT).honoured.is_zero()
        {
            let elapsed = self.clock.now.time.0 - START.0;
            let forgiven = Value::of(self.policy.forgiven_per_day)
                .fraction(86_400_000)
                .times(elapsed);
            let lost = self.sent - list_value(&self.tariff, &octets);
            assert!(
                lost <= window + forgiven,
                "more than a window was sent for nothing"
            );
        }
    }
}
