//! A store that an earlier version wrote.

use madang_journal::{ApplyError, Options, Rebuilt, Rows, Schema, Store};
use madang_protocol::codec;
use tempfile::TempDir;

use super::{super::*, records::*};

/// The rows of an earlier version are of no use to this one, whatever they hold.
struct Earlier;

impl Schema for Earlier {
    const VERSION: u32 = 2;

    fn apply(&self, seq: u64, payload: &[u8], rows: &mut Rows<'_>) -> Result<(), ApplyError> {
        Ok(rows.put(1, &seq.to_be_bytes(), payload.to_vec())?)
    }
}

#[test]
fn a_journal_of_an_earlier_version_gives_the_rows_of_this_one() {
    let folder = TempDir::new().unwrap();
    let events = [
        Event::GrantShown(grant(1, NOW)),
        Event::ReceiptHeld(receipt(1, 1, 3, false)),
        held(2, NOW, None),
        held(3, NOW, None),
        Event::GrantClosed(id(3)),
    ];
    let (earlier, _) = Store::open(Options::small(folder.path()), Earlier).unwrap();
    let payloads = events.iter().map(codec::encode).collect();
    let committed = earlier.commit(|_| Ok::<_, StoreRead>((payloads, ())));
    committed.unwrap().1.wait().unwrap();
    earlier.close().unwrap();
    drop(earlier);

    let (store, recovery) = NodeStore::open(folder.path()).unwrap();
    assert!(matches!(recovery.rebuilt, Some(Rebuilt::Unsound(_))));
    assert!(store.grant_shown(id(1)).unwrap().is_some());
    assert_eq!(store.to_settle().unwrap().len(), 1);
    let (open, _) = store.grants_open_after(None).unwrap();
    let open: Vec<usize> = open
        .iter()
        .map(|row| number(row.grant.claims().id))
        .collect();
    assert_eq!(open, [2]);
    assert_eq!(store.grants(9).unwrap().len(), 2);
}
