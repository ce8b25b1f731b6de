//! The schema's rules for what is written, and orders that cannot be.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use madang_protocol::{
    amount::{Amount, Currency},
    time::{Day, UnixMillis},
};
use proptest::prelude::*;

use super::*;
use crate::{
    billing::export::transfer::Debtor,
    vault::profile::{BankAccount, Line},
};

pub(crate) fn transfer(id: &str, amount: &str) -> Transfer {
    Transfer {
        id: id.to_owned(),
        amount: amount.parse().unwrap(),
        holder: "Kim Mina".parse().unwrap(),
        address: Vec::new(),
        country: None,
        account: BankAccount::Iban {
            iban: "DE89370400440532013000".parse().unwrap(),
            bic: None,
        },
    }
}

pub(crate) fn order(transfers: Vec<Transfer>) -> Order {
    Order {
        id: "RUN-7".to_owned(),
        created: UnixMillis(1_795_305_600_000),
        execute: Day(20_780),
        currency: Currency::KRW,
        debtor: Debtor {
            name: "Our yard".parse().unwrap(),
            iban: "GB29NWBK60161331926819".parse().unwrap(),
            bic: Some("NWBKGB2L".parse().unwrap()),
        },
        transfers,
    }
}

/// An element: its name, what is inside it, and its text.
#[derive(Debug, Default)]
struct Element {
    name: String,
    attribute: String,
    children: Vec<Element>,
    text: String,
}

/// Reads what was written; panics at what is not well-formed.
fn read(document: &str) -> Element {
    let mut rest = document
        .strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n")
        .unwrap();
    let mut open = vec![Element::default()];
    while let Some((text, after)) = rest.split_once('<') {
        let (tag, after) = after.split_once('>').unwrap();
        let last = open.last_mut().unwrap();
        last.text.push_str(text.trim_end_matches('\n'));
        if let Some(name) = tag.strip_prefix('/') {
            let done = open.pop().unwrap();
            assert_eq!(done.name, name);
            assert!(done.text.is_empty() || done.children.is_empty());
            open.last_mut().unwrap().children.push(done);
        } else {
            let (name, attribute) = tag.split_once(' ').unwrap_or((tag, ""));
            open.push(Element {
                name: name.to_owned(),
                attribute: attribute.to_owned(),
                ..Element::default()
            });
        }
        rest = after;
    }
    assert_eq!((open.len(), rest), (1, "\n"));
    open.pop().unwrap().children.pop().unwrap()
}

/// An element's name, and how often it may stand there: at least, and at most.
type Child = (&'static str, usize, usize);

/// Children in the schema's order, each with how often it may stand there. Where a choice is, only one of them does.
const SCHEMA: &[(&str, &[Child])] = &[
    ("Document", &[("CstmrCdtTrfInitn", 1, 1)]),
    (
        "CstmrCdtTrfInitn",
        &[("GrpHdr", 1, 1), ("PmtInf", 1, usize::MAX)],
    ),
    (
        "GrpHdr",
        &[
            ("MsgId", 1, 1),
            ("CreDtTm", 1, 1),
            ("NbOfTxs", 1, 1),
            ("CtrlSum", 0, 1),
            ("InitgPty", 1, 1),
        ],
    ),
    ("InitgPty", &[("Nm", 0, 1)]),
    (
        "PmtInf",
        &[
            ("PmtInfId", 1, 1),
            ("PmtMtd", 1, 1),
            ("NbOfTxs", 0, 1),
            ("CtrlSum", 0, 1),
            ("ReqdExctnDt", 1, 1),
            ("Dbtr", 1, 1),
            ("DbtrAcct", 1, 1),
            ("DbtrAgt", 1, 1),
            ("CdtTrfTxInf", 1, usize::MAX),
        ],
    ),
    ("ReqdExctnDt", &[("Dt", 1, 1)]),
    ("Dbtr", &[("Nm", 0, 1)]),
    ("DbtrAcct", &[("Id", 1, 1)]),
    ("DbtrAgt", &[("FinInstnId", 1, 1)]),
    (
        "FinInstnId",
        &[("BICFI", 0, 1), ("ClrSysMmbId", 0, 1), ("Othr", 0, 1)],
    ),
    ("ClrSysMmbId", &[("MmbId", 1, 1)]),
    (
        "CdtTrfTxInf",
        &[
            ("PmtId", 1, 1),
            ("Amt", 1, 1),
            ("CdtrAgt", 0, 1),
            ("Cdtr", 0, 1),
            ("CdtrAcct", 0, 1),
            ("RmtInf", 0, 1),
        ],
    ),
    ("PmtId", &[("EndToEndId", 1, 1)]),
    ("Amt", &[("InstdAmt", 1, 1)]),
    ("CdtrAgt", &[("FinInstnId", 1, 1)]),
    ("Cdtr", &[("Nm", 0, 1), ("PstlAdr", 0, 1)]),
    ("PstlAdr", &[("Ctry", 0, 1), ("AdrLine", 0, 7)]),
    ("CdtrAcct", &[("Id", 1, 1)]),
    ("Id", &[("IBAN", 0, 1), ("Othr", 0, 1)]),
    ("Othr", &[("Id", 1, 1)]),
    ("RmtInf", &[("Ustrd", 0, usize::MAX)]),
];

fn check(element: &Element) {
    if element.children.is_empty() {
        return check_leaf(element);
    }
    let rule = SCHEMA.iter().find(|(name, _)| *name == element.name);
    let (_, allowed) = rule.unwrap_or_else(|| panic!("{} is not in the schema", element.name));
    let mut rest = element.children.as_slice();
    for (name, least, most) in *allowed {
        let count = rest.iter().take_while(|child| child.name == *name).count();
        assert!(
            (*least..=*most).contains(&count),
            "{count} {name} in {}",
            element.name
        );
        rest = &rest[count..];
    }
    assert!(rest.is_empty(), "{} in {}", rest[0].name, element.name);
    element.children.iter().for_each(check);
}

fn check_leaf(leaf: &Element) {
    let text = leaf
        .text
        .replace("&amp;", "&")
        .replace("&lt;", "<")
        .replace("&gt;", ">");
    let text = text.replace("&quot;", "\"").replace("&apos;", "'");
    let longest = match leaf.name.as_str() {
        "MsgId" | "PmtInfId" | "EndToEndId" | "MmbId" => 35,
        "Nm" | "Ustrd" => 140,
        "AdrLine" => 70,
        "Id" | "IBAN" => 34,
        "NbOfTxs" => 15,
        "InstdAmt" | "CtrlSum" => 19,
        "CreDtTm" => 24,
        "Dt" => 10,
        "PmtMtd" => 3,
        "Ctry" => 2,
        "BICFI" => 11,
        other => panic!("{other} has no text in the schema"),
    };
    assert!((1..=longest).contains(&text.chars().count()), "{leaf:?}");
    if ["InstdAmt", "CtrlSum"].contains(&leaf.name.as_str()) {
        let digits = text.bytes().filter(u8::is_ascii_digit).count();
        assert!(digits <= 18 && text.matches('.').count() <= 1, "{leaf:?}");
    }
}

fn all<'a>(element: &'a Element, name: &str, found: &mut Vec<&'a Element>) {
    for child in &element.children {
        if child.name == name {
            found.push(child);
        }
        all(child, name, found);
    }
}

fn texts(element: &Element, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    all(element, name, &mut found);
    found.iter().map(|one| one.text.clone()).collect()
}

#[test]
fn an_order_is_written_as_the_schema_wants_it_and_twice_alike() {
    let mut domestic = transfer("RUN-7-2", "5");
    domestic.account = BankAccount::Domestic {
        number: "110-123-456789".parse().unwrap(),
        bank: "088".parse().unwrap(),
    };
    domestic.holder = "Müller & <Söhne>".parse().unwrap();
    domestic.country = Some("KR".parse().unwrap());
    domestic.address = vec!["ß".repeat(70).parse().unwrap(), "김".parse().unwrap()];
    let order = order(vec![transfer("RUN-7-1", "1234"), domestic]);
    let written = write(&order, Letters::Latin).unwrap();
    assert_eq!(written, write(&order, Letters::Latin).unwrap());
    let document = read(&written);
    check(&document);
    assert_eq!(
        document.attribute,
        "xmlns=\"urn:iso:std:iso:20022:tech:xsd:pain.001.001.09\""
    );
    assert_eq!(texts(&document, "CtrlSum"), ["1239", "1239"]);
    assert_eq!(texts(&document, "NbOfTxs"), ["2", "2"]);
    assert_eq!(texts(&document, "InstdAmt"), ["1234", "5"]);
    assert_eq!(texts(&document, "CreDtTm"), ["2026-11-22T00:00:00.000Z"]);
    assert_eq!(texts(&document, "Dt"), ["2026-11-23"]);
    assert_eq!(
        texts(&document, "Nm"),
        ["Our yard", "Our yard", "Kim Mina", "Mueller . .Soehne."]
    );
    let unicode = write(&order, Letters::Unicode).unwrap();
    assert!(unicode.contains("Müller &amp; &lt;Söhne&gt;") && unicode.contains("김"));
    check(&read(&unicode));
}

#[test]
fn what_a_bank_could_not_pay_is_refused() {
    let refused = |transfers: Vec<Transfer>| write(&order(transfers), Letters::Latin).unwrap_err();
    assert_eq!(refused(vec![]), TransferError::Empty);
    assert!(matches!(
        refused(vec![transfer("a", "0")]),
        TransferError::Amount { .. }
    ));
    assert!(matches!(
        refused(vec![transfer("a", "1.5")]),
        TransferError::Amount { .. }
    ));
    assert!(matches!(
        refused(vec![transfer("a b", "1")]),
        TransferError::Id(_)
    ));
    assert!(matches!(
        refused(vec![transfer(&"a".repeat(36), "1")]),
        TransferError::Id(_)
    ));
    assert!(matches!(
        refused(vec![transfer("a", "1"), transfer("a", "2")]),
        TransferError::Twice(_)
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn control_sums_are_exact_whatever_people_are_called(
        amounts in proptest::collection::vec(1_u64..1 << 40, 1..20),
        name in "\\PC{1,70}",
        currency in prop_oneof![Just(("KRW", 0_u32)), Just(("EUR", 2)), Just(("KWD", 3))],
        letters in prop_oneof![Just(Letters::Latin), Just(Letters::Unicode)],
    ) {
        let (currency, decimals) = currency;
        let smallest = 10_u64.pow(6 - decimals);
        let mut order = order(Vec::new());
        order.currency = currency.parse().unwrap();
        for (at, amount) in amounts.iter().enumerate() {
            let mut one = transfer(&format!("p{at}"), "1");
            one.amount = Amount::from_micros(amount * smallest);
            if let Ok(holder) = name.parse::<Line>() {
                one.holder = holder;
            }
            order.transfers.push(one);
        }
        let document = read(&write(&order, letters).unwrap());
        check(&document);
        let minor = |text: &String| text.replace('.', "").parse::<u64>().unwrap();
        let written = texts(&document, "InstdAmt");
        prop_assert!(written.iter().map(minor).eq(amounts.iter().copied()));
        let sum: u64 = amounts.iter().sum();
        prop_assert!(texts(&document, "CtrlSum").iter().all(|text| minor(text) == sum));
    }
}
