//! Grant, receipt, settlement, bill: over HTTP, to the last unit.

use std::time::Duration;

use madang_anchor::operator::{
    answer::Answer,
    command::Command,
    invoice_answer::{KindAnswer, StageAnswer},
};
use madang_protocol::{
    amount::{Amount, Currency},
    broker::{Bill, CLOSE, Done, GRANT, SETTLE, SIGN_IN, Side, USAGE, Wallet},
    codec,
    ids::{BatchId, RequestId},
    record::{
        grant::Grant,
        receipt::{Counters, Receipt},
        request::{CloseGrant, GrantRequest, Question},
        settlement::{Judgement, SettleBatch, Verdict},
        tariff::Tariff,
        usage::{UsageReport, UsageRow, Visitor},
    },
    sealed::Sealed,
    time::Day,
};

use crate::harness::{Anchor, Device};

/// A buyer with 2,000 won, and a seller of reports at 500 won of which the provider takes 5 %.
struct Market {
    anchor: Anchor,
    buyer: Device,
    seller: Device,
    tariff: Sealed<Tariff>,
}

fn won(units: u64) -> Amount {
    Amount::from_units(units).unwrap()
}

impl Market {
    async fn open() -> Self {
        let anchor = Anchor::start().await;
        anchor.add("alice").await;
        anchor.add("bob").await;
        anchor.top_up("bob", "2000").await;
        let seller = anchor.device("alice", 1).await;
        let buyer = anchor.device("bob", 2).await;
        let tariff = seller.tariff("alice", Currency::KRW);
        Self {
            anchor,
            buyer,
            seller,
            tariff,
        }
    }

    fn request(&self, id: u8, amount_max: Amount) -> GrantRequest {
        GrantRequest {
            device: self.buyer.public(),
            id: RequestId([id; 16]),
            seller: self.seller.passport.as_ref().unwrap().to_unverified(),
            tariff_hash: self.tariff.tariff_hash(),
            tariff: Some(self.tariff.to_unverified()),
            amount_max,
            predecessor: None,
            time: self.anchor.clock.now(),
        }
    }

    async fn grant(&self, id: u8, amount_max: Amount) -> Sealed<Grant> {
        let request = self.buyer.seal(self.request(id, amount_max));
        let response = self.anchor.post(GRANT, &request).await;
        self.anchor.record(&response)
    }

    /// What a grant request is refused with.
    async fn refused(&self, request: GrantRequest) -> (u16, String) {
        let response = self.anchor.post(GRANT, &self.buyer.seal(request)).await;
        (response.status.as_u16(), response.slug())
    }

    fn receipt(&self, grant: &Grant, requests: u64, is_final: bool) -> Sealed<Receipt> {
        let counters = Counters {
            requests,
            ..Counters::default()
        };
        self.buyer.seal(Receipt {
            buyer: self.buyer.public(),
            grant: grant.id,
            tariff: grant.tariff,
            sequence: requests,
            counters: vec![counters],
            amount: won(500 * requests),
            time: self.anchor.clock.now(),
            is_final,
        })
    }

    fn batch(&self, by: &Device, id: u8, receipts: &[&Sealed<Receipt>]) -> Sealed<SettleBatch> {
        by.seal(SettleBatch {
            device: by.public(),
            id: BatchId([id; 16]),
            receipts: receipts
                .iter()
                .map(|receipt| receipt.to_unverified())
                .collect(),
            closed: vec![],
            time: self.anchor.clock.now(),
        })
    }

    async fn settle(&self, by: &Device, id: u8, receipts: &[&Sealed<Receipt>]) -> Sealed<Verdict> {
        let response = self
            .anchor
            .post(SETTLE, &self.batch(by, id, receipts))
            .await;
        self.anchor.record(&response)
    }

    async fn wallet(&self, of: &Device) -> Wallet {
        self.anchor.query(of, Question::Wallet).await
    }

    async fn bill(&self, of: &Device) -> Bill {
        let question = Question::Bill {
            before: None,
            limit: 10,
        };
        self.anchor.query(of, question).await
    }
}

#[tokio::test]
async fn a_report_is_bought_settled_and_billed() {
    let market = Market::open().await;
    let grant = market.grant(1, won(1_000)).await;
    assert_eq!((grant.amount_max, grant.commission_bp), (won(1_000), 500));
    let wallet = market.wallet(&market.buyer).await;
    assert_eq!(
        (wallet.posted, wallet.held, wallet.available),
        (won(2_000), won(1_000), won(1_000))
    );

    let receipt = market.receipt(&grant, 1, false);
    let verdict = market.settle(&market.seller, 1, &[&receipt]).await;
    assert_eq!(verdict.outcomes[0].judgement, Judgement::Applied);
    assert_eq!(
        (verdict.outcomes[0].settled, verdict.outcomes[0].earned),
        (won(500), won(475))
    );
    let entry = market.anchor.entry().await;
    let again = market.settle(&market.seller, 1, &[&receipt]).await;
    assert_eq!(again.to_bytes(), verdict.to_bytes());
    assert_eq!(
        market.anchor.entry().await,
        entry,
        "a batch is settled once"
    );

    let last = market.receipt(&grant, 2, true);
    let close = market.buyer.seal(CloseGrant {
        device: market.buyer.public(),
        grant: grant.id,
        receipt: Some(last.to_unverified()),
        time: market.anchor.clock.now(),
    });
    let closed = market.anchor.post(CLOSE, &close).await;
    assert_eq!(closed.status, 200, "{closed:?}");
    assert!(codec::decode::<Done>(&closed.body, 8).unwrap().entry > entry);

    let (bought, sold) = (
        market.bill(&market.buyer).await,
        market.bill(&market.seller).await,
    );
    let (bought, sold) = (&bought.lines[0], &sold.lines[0]);
    assert_eq!((bought.side, sold.side), (Side::Purchase, Side::Sale));
    assert_eq!(
        (bought.partner.as_str(), sold.partner.as_str()),
        ("alice", "bob")
    );
    assert_eq!((bought.debit, bought.amount), (won(1_000), won(1_000)));
    assert_eq!(
        (sold.earned, sold.commission, sold.tax),
        (won(950), won(50), Amount::ZERO)
    );
    assert_eq!(market.wallet(&market.buyer).await.posted, won(1_000));
    assert_eq!(market.wallet(&market.seller).await.earned, won(950));
}

#[tokio::test]
async fn a_month_that_is_over_is_closed_by_hand_with_an_invoice_and_a_statement() {
    let market = Market::open().await;
    let answer = market
        .anchor
        .command(Command::PeriodList { before: None })
        .await;
    let Answer::Periods { periods, .. } = answer else {
        panic!("{answer:?}");
    };
    let (period, stage) = (periods[0].period, periods[0].stage);
    assert_eq!(stage, StageAnswer::Open);
    let grant = market.grant(1, won(1_000)).await;
    let receipt = market.receipt(&grant, 2, true);
    market.settle(&market.seller, 1, &[&receipt]).await;
    market
        .anchor
        .clock
        .advance(Duration::from_secs(40 * 24 * 3_600));
    let mut command = Command::PeriodClose {
        period,
        early: true,
    };
    loop {
        let answer = market.anchor.command(command).await;
        let Answer::Period(closing) = answer else {
            panic!("{answer:?}");
        };
        if closing.stage == StageAnswer::Closed {
            assert_eq!((closing.accounts, closing.documents), (2, 2));
            break;
        }
        command = Command::PeriodGoOn { period };
    }
    for (handle, partner, kind) in [
        ("bob", "alice", KindAnswer::Invoice),
        ("alice", "bob", KindAnswer::Statement),
    ] {
        let command = Command::DocumentList {
            handle: handle.parse().unwrap(),
            before: None,
        };
        let answer = market.anchor.command(command).await;
        let Answer::Documents { documents, .. } = answer else {
            panic!("{answer:?}");
        };
        let [document] = documents.try_into().unwrap();
        let sum = document.total;
        assert_eq!(
            (document.kind, sum.gross, sum.commission, sum.earned),
            (kind, won(1_000), won(50), won(950))
        );
        let command = Command::DocumentLines {
            number: document.number,
            handle: Some(handle.parse().unwrap()),
            after: None,
        };
        let answer = market.anchor.command(command).await;
        let json = serde_json::to_value(&answer).unwrap();
        let line = &json["lines"][0];
        assert_eq!(json["more-after"], serde_json::Value::Null, "{json}");
        assert_eq!(line["partner"]["handle"], partner);
        assert_eq!(line["receipt"], receipt.hash().to_string());
        assert_eq!(line["uses"][0]["unit"], "requests");
        assert_eq!(line["uses"][0]["quantity"], "2");
        assert_eq!(line["uses"][0]["unit-price"], "500");
        assert_eq!(line["sum"]["gross"], "1000");
        assert_eq!(serde_json::from_value::<Answer>(json).unwrap(), answer);
    }
}

#[tokio::test]
async fn the_same_request_has_the_same_answer_and_another_under_its_name_is_refused() {
    let market = Market::open().await;
    let first = market.grant(1, won(1_000)).await;
    let entry = market.anchor.entry().await;
    assert_eq!(
        market.grant(1, won(1_000)).await.to_bytes(),
        first.to_bytes()
    );
    let other = market.request(1, won(999));
    assert_eq!(
        market.refused(other).await,
        (422, "request-id-reused".to_owned())
    );
    assert_eq!(market.anchor.entry().await, entry);
}

#[tokio::test]
async fn what_may_not_be_granted_says_why_and_writes_nothing() {
    let market = Market::open().await;
    let entry = market.anchor.entry().await;
    let too_much = market.request(1, won(2_001));
    let silent = GrantRequest {
        tariff: None,
        ..market.request(2, won(1))
    };
    let own = GrantRequest {
        device: market.seller.public(),
        ..market.request(3, won(1))
    };
    assert_eq!(
        market.refused(too_much).await,
        (403, "credit-insufficient".to_owned())
    );
    assert_eq!(
        market.refused(silent).await,
        (404, "tariff-unknown".to_owned())
    );
    let response = market.anchor.post(GRANT, &market.seller.seal(own)).await;
    assert_eq!(
        (response.status.as_u16(), response.slug().as_str()),
        (403, "self-dealing")
    );
    assert_eq!(market.anchor.entry().await, entry);
}

#[tokio::test]
async fn a_bad_receipt_spoils_itself_alone() {
    let market = Market::open().await;
    let (good, bad) = (
        market.grant(1, won(500)).await,
        market.grant(2, won(1_000)).await,
    );
    let honest = market.receipt(&good, 1, false);
    let mut misrated = (*market.receipt(&bad, 1, false)).clone();
    misrated.amount = won(501);
    let misrated = market.buyer.seal(misrated);
    let verdict = market
        .settle(&market.seller, 1, &[&misrated, &honest])
        .await;
    let judgements: Vec<_> = verdict
        .outcomes
        .iter()
        .map(|outcome| outcome.judgement)
        .collect();
    use madang_protocol::reject::Reject;
    assert_eq!(
        judgements,
        [
            Judgement::Rejected(Reject::RECEIPT_MISRATED),
            Judgement::Applied
        ]
    );

    let stolen = market
        .settle(&market.buyer, 2, &[&market.receipt(&bad, 1, false)])
        .await;
    assert_eq!(
        stolen.outcomes[0].judgement,
        Judgement::Rejected(Reject::NOT_THE_SELLER)
    );
    assert_eq!(market.wallet(&market.seller).await.earned, won(475));
}

#[tokio::test]
async fn money_survives_a_restart() {
    let market = Market::open().await;
    let grant = market.grant(1, won(1_000)).await;
    let receipt = market.receipt(&grant, 1, false);
    let verdict = market.settle(&market.seller, 1, &[&receipt]).await;
    let before = (
        market.wallet(&market.buyer).await,
        market.bill(&market.buyer).await,
    );
    let Market {
        anchor,
        buyer,
        seller,
        tariff,
    } = market;
    let (home, clock) = anchor.stop().await;
    let anchor = Anchor::start_in(home, clock, |_| {}).await;
    let market = Market {
        anchor,
        buyer,
        seller,
        tariff,
    };
    assert_eq!(
        (
            market.wallet(&market.buyer).await,
            market.bill(&market.buyer).await
        ),
        before
    );
    let again = market.settle(&market.seller, 1, &[&receipt]).await;
    assert_eq!(again.to_bytes(), verdict.to_bytes());
    assert_eq!(
        market.grant(1, won(1_000)).await.to_bytes(),
        grant.to_bytes()
    );
}

#[tokio::test]
async fn usage_is_kept_by_day_and_an_older_report_does_not_replace_it() {
    let market = Market::open().await;
    let device = &market.seller;
    let day = market.anchor.clock.now().day();
    let report = |sequence, day: Day| {
        let row = UsageRow {
            site: "alice".parse().unwrap(),
            group: None,
            visitor: Visitor::Stranger,
            requests_free: sequence,
            requests_paid: 0,
            bytes: 1_000,
            sessions: 1,
        };
        device.seal(UsageReport {
            device: device.public(),
            day,
            sequence,
            rows: vec![row],
            time: market.anchor.clock.now(),
        })
    };
    for _ in 0..2 {
        assert_eq!(market.anchor.post(USAGE, &report(2, day)).await.status, 200);
    }
    let older = market.anchor.post(USAGE, &report(1, day)).await;
    assert_eq!(
        (older.status.as_u16(), older.slug().as_str()),
        (409, "sequence-old")
    );
    let to_come = market.anchor.post(USAGE, &report(1, Day(day.0 + 2))).await;
    assert_eq!(to_come.slug(), "record-from-future");
    assert_eq!(
        market.anchor.post(SIGN_IN, &device.sign_in()).await.status,
        200
    );
}
