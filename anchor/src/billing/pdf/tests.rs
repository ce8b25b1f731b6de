use std::{fs, process::Command};

use madang_protocol::{
    amount::Amount,
    ids::{GrantId, RecordHash, TariffHash},
    time::UnixMillis,
};

use super::*;
use crate::{
    billing::{html, party::Party, text},
    operator::invoice_answer::{
        KindAnswer, LineAnswer, SumAnswer, TaxAnswer, TaxModeAnswer, TotalAnswer, UnitAnswer,
        UseAnswer,
    },
};

const TAX: TaxAnswer = TaxAnswer {
    rate_bp: 1_000,
    mode: TaxModeAnswer::Inclusive,
};

fn won(units: u64) -> Amount {
    Amount::from_units(units).unwrap()
}

fn sum(units: u64) -> SumAnswer {
    SumAnswer {
        net: won(units * 10),
        tax: won(units),
        gross: won(units * 11),
        commission: won(units),
        earned: won(units * 9),
    }
}

fn party(handle: &str) -> Party {
    Party {
        handle: handle.parse().unwrap(),
        tax_id: None,
    }
}

fn document(kind: KindAnswer, lines: u64) -> DocumentAnswer {
    DocumentAnswer {
        number: "2026-INV-000042".parse().unwrap(),
        kind,
        issuer: "우리 마당".to_owned(),
        party: party("joon"),
        period: "2026-10".parse().unwrap(),
        from: "2026-10-01".parse().unwrap(),
        to: "2026-10-31".parse().unwrap(),
        issued: UnixMillis(1_795_305_600_000),
        currency: "KRW".to_owned(),
        lines,
        totals: vec![TotalAnswer {
            tax: TAX,
            lines,
            sum: sum(1_000),
        }],
        total: sum(1_000),
        owed: Some(won(77)),
        hash: RecordHash([7; 32]),
    }
}

fn line(site: &str, pattern: &str) -> LineAnswer {
    LineAnswer {
        grant: GrantId([1; 16]),
        entry: 1,
        granted: UnixMillis(1_793_000_000_000),
        late: false,
        partner: party("mina"),
        site: site.to_owned(),
        tariff: TariffHash([2; 32]),
        uses: vec![UseAnswer {
            pattern: pattern.to_owned(),
            unit: UnitAnswer::Octets,
            quantity: 3 << 19,
            free: 1 << 20,
            unit_price: won(1_500),
        }],
        tax: TAX,
        commission_bp: 1_000,
        taken_back: Amount::ZERO,
        sum: sum(1),
        receipt: Some(RecordHash([9; 32])),
        follows: Some("2026-INV-000041".parse().unwrap()),
    }
}

fn lines(lines: Vec<LineAnswer>) -> Lines {
    Lines { lines, left_out: 0 }
}

/// The PDF's text, where the program that reads it is installed.
fn text_of(pdf: &[u8]) -> Option<String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("document.pdf");
    fs::write(&path, pdf).unwrap();
    let mut reader = Command::new("pdftotext");
    let read = reader.args(["-layout".as_ref(), path.as_os_str(), "-".as_ref()]);
    let Ok(read) = read.output() else {
        eprintln!("left out: what a PDF's text is, since pdftotext (poppler-utils) is not here");
        return None;
    };
    assert!(
        read.status.success(),
        "{}",
        String::from_utf8_lossy(&read.stderr)
    );
    Some(String::from_utf8(read.stdout).unwrap())
}

#[test]
fn a_pdf_says_what_the_document_says_and_is_the_same_each_time() {
    let document = document(KindAnswer::Invoice, 1);
    let lines = lines(vec![line("날씨--mina", "/video/**")]);
    for language in [Language::En, Language::Ko] {
        let pdf = render(&document, &lines, language).unwrap();
        assert!(pdf.starts_with(b"%PDF-"));
        assert_eq!(render(&document, &lines, language).unwrap(), pdf);
        // The font as a whole has 1.3 MB.
        assert!(pdf.len() < 60_000, "{}", pdf.len());
        let Some(text) = text_of(&pdf) else {
            continue;
        };
        for words in [
            "2026-INV-000042",
            "2026-INV-000041",
            "날씨--mina",
            "우리 마당",
            "/video/**",
            "1.500 MiB × 1,500 KRW",
            "11,000",
            &"09".repeat(32),
            language.kind(KindAnswer::Invoice),
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }
}

#[test]
fn many_lines_are_many_pages_each_with_its_head_and_number() {
    let many = 400;
    let lines = lines(vec![line("mina", "/a/**"); many]);
    let document = document(KindAnswer::Statement, many as u64);
    let sheet = Sheet::new(&document, &lines, Language::En);
    let face = Face::new().unwrap();
    let pages = layout::pages(&sheet, &face);
    assert!(pages.len() > 5, "{}", pages.len());
    for (at, page) in pages.iter().enumerate() {
        let has = |words: &str| {
            page.iter().any(|mark| match mark {
                Mark::Text { text, .. } => text.contains(words),
                Mark::Rule { .. } => false,
            })
        };
        assert!(has("Commission"));
        assert!(has(&format!("page {} of {}", at + 1, pages.len())));
        for mark in page {
            let (Mark::Text { x, y, .. } | Mark::Rule { x, y, .. }) = mark;
            assert!((0..PAGE_WIDTH).contains(x) && (0..PAGE_HEIGHT).contains(y));
        }
    }
    assert!(render(&document, &lines, Language::Ko).is_ok());
}

#[test]
fn hostile_text_does_no_harm_in_any_form() {
    let long = "길".repeat(10_000);
    let hostile = [
        "<script>alert(1)</script>",
        "\u{202e}gnp.exe\u{0}\n\u{2066}",
        &long,
        "😀שלום",
    ];
    for words in hostile {
        let mut document = document(KindAnswer::CreditNote, 1);
        document.issuer = words.to_owned();
        let lines = lines(vec![line(words, words)]);
        let page = html::render(&document, &lines, Language::Ko);
        assert!(!page.contains("<script>") && page.len() < 10_000, "{page}");
        let plain = text::render(&document, &lines, Language::En);
        for shown in [&page, &plain] {
            let is_hidden =
                |c: char| c != '\n' && c.is_control() || ('\u{202a}'..='\u{2069}').contains(&c);
            assert!(!shown.contains(is_hidden), "{shown:?}");
        }
        let pdf = render(&document, &lines, Language::Ko).unwrap();
        assert!(pdf.len() < 60_000);
        let read = text_of(&pdf).unwrap_or_default();
        assert!(!read.contains('\u{202e}'));
    }
}

#[test]
fn what_is_taken_back_stands_below_zero() {
    let lines = lines(vec![line("mina", "/a")]);
    let credit = document(KindAnswer::CreditNote, 1);
    let text = text::render(&credit, &lines, Language::En);
    assert!(text.contains("Amount -11"), "{text}");
    assert!(text.contains("corrects 2026-INV-000041"), "{text}");
    assert!(text.contains("Owed when issued: 77 KRW"), "{text}");
    let statement = document(KindAnswer::Statement, 1);
    let page = html::render(&statement, &lines, Language::Ko);
    assert!(page.contains("판매 명세서") && page.contains("수수료"));
}
