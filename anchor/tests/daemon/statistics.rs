//! Figures: over the operator's socket, on Prometheus' page, and on the command line of an anchor at rest.

use std::process::Command as Process;

use madang_anchor::operator::{
    answer::Answer,
    command::Command,
    statistics::{By, FigureAnswer, StatisticsAnswer, StatisticsQuery, Whose},
};
use madang_protocol::{
    broker::{SIGN_IN, USAGE},
    record::usage::{UsageReport, UsageRow, Visitor},
};

use crate::harness::{Anchor, Device};

async fn figures(anchor: &Anchor, by: By, of: Whose) -> StatisticsAnswer {
    let asked = Command::Statistics(StatisticsQuery {
        from: None,
        until: None,
        by,
        of,
        after: None,
        limit: None,
        catch_up: true,
    });
    let Answer::Statistics(page) = anchor.command(asked).await else {
        panic!("figures are expected");
    };
    *page
}

async fn report(anchor: &Anchor, device: &Device, parts: &[&str]) {
    let rows = parts.iter().map(|site| UsageRow {
        site: site.parse().unwrap(),
        group: None,
        visitor: Visitor::Stranger,
        requests_free: 4,
        requests_paid: 0,
        bytes: 1_000,
        sessions: 1,
    });
    let report = device.seal(UsageReport {
        device: device.public(),
        day: anchor.clock.now().day(),
        sequence: 1,
        rows: rows.collect(),
        time: anchor.clock.now(),
    });
    assert_eq!(anchor.post(USAGE, &report).await.status, 200);
}

fn of(page: &StatisticsAnswer) -> Vec<(&str, Option<i64>)> {
    let lines = page.lines.iter();
    let count = |figures: &std::collections::BTreeMap<String, FigureAnswer>| {
        let counted = figures.get("count").or(figures.get("requests-free"));
        counted.and_then(|figure| match figure {
            FigureAnswer::Count(count) => Some(*count),
            FigureAnswer::Money(_) => None,
        })
    };
    lines
        .map(|line| (line.of.as_str(), count(&line.figures)))
        .collect()
}

#[tokio::test]
async fn sign_ins_refusals_and_free_use_are_told_by_kind_code_and_site() {
    let anchor = Anchor::start().await;
    anchor.add("이웃").await;
    let device = anchor.device("이웃", 1).await;
    anchor.sign_in(&device).await;
    let stranger = Device::new(&anchor, "이웃", 2);
    for _ in 0..2 {
        anchor.post(SIGN_IN, &stranger.sign_in()).await;
    }
    report(&anchor, &device, &["이웃", "날씨방--이웃"]).await;

    let kinds = figures(&anchor, By::SignIn, Whose::All).await;
    assert_eq!(of(&kinds), [("enrolment", Some(1)), ("device", Some(1))]);
    let codes = figures(&anchor, By::Refusal, Whose::All).await;
    assert_eq!(of(&codes).len(), 1);
    let (code, times) = of(&codes)[0];
    assert!(code.ends_with(" device-unknown"), "{code}");
    assert_eq!(times, Some(2));
    let sites = figures(&anchor, By::Site, Whose::All).await;
    assert_eq!(of(&sites), [("이웃", Some(4)), ("날씨방--이웃", Some(4))]);
    let seller = Whose::Seller("이웃".parse().unwrap());
    let days = figures(&anchor, By::Day, seller).await;
    let today = anchor.clock.now().day().to_string();
    assert_eq!(of(&days), [(today.as_str(), Some(8))]);
    assert!(days.behind <= 1);

    at_rest(anchor).await;
}

/// The same by `madang-anchor stats`, in words, for spreadsheets and for scripts.
async fn at_rest(anchor: Anchor) {
    let day = anchor.clock.now().day().to_string();
    let (home, _) = anchor.stop().await;
    let stats = |arguments: &[&str]| {
        let mut process = Process::new(env!("CARGO_BIN_EXE_madang-anchor"));
        process.arg("--home").arg(home.path()).arg("stats");
        process
            .args(["--from", &day, "--until", &day])
            .args(arguments);
        process.output().unwrap()
    };
    let said = |arguments: &[&str]| {
        let output = stats(arguments);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let table = said(&["--by", "site", "--catch-up"]);
    let lines: Vec<&str> = table.lines().collect();
    let expected = [
        "site          requests-free  bytes-served  sessions",
        "날씨방--이웃              4          1000         1",
        "이웃                      4          1000         1",
        "total                     8          2000         2",
    ];
    assert_eq!(lines[1..5], expected, "{table}");
    assert!(lines[5].starts_with("counted up to "), "{table}");
    let csv = said(&["--by", "site", "--format", "csv"]);
    assert!(csv.starts_with("of,rule,account,requests-free,"), "{csv}");
    assert!(csv.contains("\r\n날씨방--이웃,,"), "{csv}");
    let json = said(&["--by", "month", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["total"]["requests-free"], 8);
    assert_eq!(json["lines"][0]["of"], day[..7]);
    let refused = stats(&["--by", "site", "--buyer", "이웃"]);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
}
