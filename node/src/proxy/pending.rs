//! Questions that wait for a visitor's answer, and the way back after it. Bounded: the oldest question gives way.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use madang_protocol::name::SiteName;
use parking_lot::Mutex;

use crate::fetch::Quote;

/// A question or a way back is forgotten after this long.
const LIFE: Duration = Duration::from_secs(15 * 60);
/// Questions kept at one time: a page that navigates in a loop only displaces its own.
const PENDING_MAX: usize = 256;

/// A price that a visitor is asked to agree to.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Question {
    /// The price.
    pub quote: Quote,
    /// The site's origin as the browser sees it.
    pub origin: String,
    /// Path and query that the visitor wants.
    pub target: String,
}

/// Where a visitor goes after agreeing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WayBack {
    /// The site.
    pub site: SiteName,
    /// Path and query.
    pub target: String,
}

/// Both, by tokens that nobody can guess.
#[derive(Debug)]
pub(super) struct Pending {
    questions: Mutex<Table<Question>>,
    ways_back: Mutex<Table<WayBack>>,
}

impl Pending {
    pub(super) fn new() -> Self {
        Self {
            questions: Mutex::new(Table::new()),
            ways_back: Mutex::new(Table::new()),
        }
    }

    /// Keeps `question` under `token`.
    pub(super) fn ask(&self, token: String, question: Question, now: Instant) {
        self.questions.lock().put(token, question, now);
    }

    /// The question under `token`; it stays, so that its page can be reloaded.
    pub(super) fn question(&self, token: &str, now: Instant) -> Option<Question> {
        self.questions.lock().get(token, now).cloned()
    }

    /// Forgets the question under `token`, and says whether it was there: an answer counts once.
    pub(super) fn answered(&self, token: &str, now: Instant) -> bool {
        self.questions.lock().take(token, now).is_some()
    }

    /// Keeps a way back under `ticket`.
    pub(super) fn send_back(&self, ticket: String, way: WayBack, now: Instant) {
        self.ways_back.lock().put(ticket, way, now);
    }

    /// Uses up the way back under `ticket`.
    pub(super) fn way_back(&self, ticket: &str, now: Instant) -> Option<WayBack> {
        self.ways_back.lock().take(ticket, now)
    }
}

#[derive(Debug)]
struct Table<T> {
    rows: VecDeque<(String, Instant, T)>,
}

impl<T> Table<T> {
    fn new() -> Self {
        Self {
            rows: VecDeque::new(),
        }
    }

    fn put(&mut self, token: String, value: T, now: Instant) {
        if self.rows.len() == PENDING_MAX {
            self.rows.pop_front();
        }
        self.rows.push_back((token, now, value));
    }

    fn position(&self, token: &str, now: Instant) -> Option<usize> {
        self.rows.iter().position(|(own, since, _)| {
            own == token && now.saturating_duration_since(*since) < LIFE
        })
    }

    fn get(&self, token: &str, now: Instant) -> Option<&T> {
        self.position(token, now).map(|at| &self.rows[at].2)
    }

    fn take(&mut self, token: &str, now: Instant) -> Option<T> {
        let at = self.position(token, now)?;
        self.rows.remove(at).map(|(_, _, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_forgets_by_age_by_number_and_by_use() {
        let start = Instant::now();
        let mut table = Table::new();
        (0..=PENDING_MAX).for_each(|number| table.put(number.to_string(), number, start));
        assert_eq!(
            (
                table.rows.len(),
                table.get("0", start),
                table.get("1", start)
            ),
            (PENDING_MAX, None, Some(&1))
        );
        assert_eq!(
            (table.take("1", start), table.take("1", start)),
            (Some(1), None)
        );
        assert_eq!(table.get("2", start + LIFE), None);
    }
}
