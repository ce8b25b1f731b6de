//! Frames: one of each, and what is refused.

use madang_protocol::{
    amount::Amount,
    ids::{GrantId, SessionId, TariffHash},
    limits::FRAME_BYTES_MAX,
    record::receipt::Counters,
    reject::Reject,
    sealed::Sealed,
    session::{
        frame::{
            BuyerFrame, Elapsed, Ending, Held, Hello, NeedReceipt, Refused, ResponseId, RuleTime,
            SellerFrame, Signed, Welcome, Window,
        },
        wire::{Frame, Reader, to_bytes},
    },
};

use super::samples::{NETWORK, buyer, device, grant, issuer, pass, passport, receipt, tariff};

const GRANT: GrantId = GrantId([0x61; 16]);

fn buyers() -> Vec<(&'static str, BuyerFrame)> {
    let receipt = Sealed::sign(receipt(), NETWORK, &buyer())
        .unwrap()
        .into_unverified();
    let hello = Hello {
        site: "blog--alice".parse().unwrap(),
        passport: Sealed::sign(passport(), NETWORK, &issuer())
            .unwrap()
            .into_unverified(),
        passes: vec![
            Sealed::sign(pass(), NETWORK, &issuer())
                .unwrap()
                .into_unverified(),
        ],
        receipt: Some(receipt.clone()),
    };
    let grant = Sealed::sign(grant(), NETWORK, &issuer())
        .unwrap()
        .into_unverified();
    let ending = Ending {
        grant: grant.clone(),
        tariff: Sealed::sign(tariff(), NETWORK, &device())
            .unwrap()
            .into_unverified(),
        receipt: Some(receipt.clone()),
    };
    vec![
        ("Hello", BuyerFrame::Hello(Box::new(hello))),
        ("Grant", BuyerFrame::Grant(Box::new(grant))),
        (
            "Receipt",
            BuyerFrame::Receipt(Box::new(Signed {
                receipt,
                response: Some(ResponseId(7)),
            })),
        ),
        ("BuyerClose", BuyerFrame::Close),
        ("End", BuyerFrame::End(Box::new(ending))),
    ]
}

fn sellers() -> Vec<(&'static str, SellerFrame)> {
    let welcome = Welcome {
        session: SessionId([0x5e; 16]),
        passport: Sealed::sign(passport(), NETWORK, &issuer())
            .unwrap()
            .into_unverified(),
        tariff: TariffHash([0x7a; 32]),
        window: Amount::from_micros(1_000_000),
        receipt: None,
    };
    let latest = Sealed::sign(receipt(), NETWORK, &buyer())
        .unwrap()
        .into_unverified();
    let counters = vec![Counters {
        requests: 1,
        bytes: 2,
        milliseconds: 3,
        passes: 4,
    }];
    let rules = vec![RuleTime {
        rule: 1,
        milliseconds: 5_000,
    }];
    vec![
        ("Welcome", SellerFrame::Welcome(Box::new(welcome))),
        (
            "Window",
            SellerFrame::Window(Window {
                grant: GRANT,
                amount: Amount::from_micros(9),
            }),
        ),
        (
            "NeedReceipt",
            SellerFrame::NeedReceipt(NeedReceipt {
                grant: GRANT,
                counters,
            }),
        ),
        (
            "Elapsed",
            SellerFrame::Elapsed(Elapsed {
                grant: GRANT,
                rules,
            }),
        ),
        (
            "Refused",
            SellerFrame::Refused(Refused {
                reject: Reject::GRANT_EXPIRED,
                grant: Some(GRANT),
            }),
        ),
        ("SellerClose", SellerFrame::Close),
        ("Latest", SellerFrame::Latest(Box::new(latest.clone()))),
        (
            "Held",
            SellerFrame::Held(Box::new(Held {
                grant: GRANT,
                receipt: Some(latest),
            })),
        ),
    ]
}

/// Every frame by name.
pub fn all() -> Vec<(&'static str, Vec<u8>)> {
    let buyers = buyers()
        .into_iter()
        .map(|(name, frame)| (name, to_bytes(&frame)));
    let sellers = sellers()
        .into_iter()
        .map(|(name, frame)| (name, to_bytes(&frame)));
    buyers.chain(sellers).collect()
}

fn read<F: Frame>(octets: &[u8]) -> Result<Option<F>, Reject> {
    Reader::<F>::default().read(&mut &*octets)
}

#[test]
fn frames_come_whole_out_of_any_pieces() {
    let frames: Vec<BuyerFrame> = buyers().into_iter().map(|(_, frame)| frame).collect();
    let stream: Vec<u8> = frames.iter().flat_map(to_bytes).collect();
    for size in [1, 2, 3, 5, 7, 64, stream.len()] {
        let mut reader = Reader::<BuyerFrame>::default();
        let mut read = Vec::new();
        for piece in stream.chunks(size) {
            let mut rest = piece;
            while let Some(frame) = reader.read(&mut rest).unwrap() {
                read.push(frame);
            }
            assert!(rest.is_empty());
        }
        assert!(reader.is_between_frames());
        assert_eq!(read, frames, "in pieces of {size}");
    }
}

#[test]
fn what_is_no_frame_is_refused_by_number() {
    for (name, octets, number) in [
        (
            "longer than any frame",
            vec![0xff, 0xff, 0xff, 0xff],
            Reject::RECORD_TOO_LARGE,
        ),
        (
            "one octet too long",
            (FRAME_BYTES_MAX as u32 + 1).to_le_bytes().to_vec(),
            Reject::RECORD_TOO_LARGE,
        ),
        (
            "without a kind",
            vec![1, 0, 0, 0, 1],
            Reject::RECORD_MALFORMED,
        ),
        (
            "of an unknown kind",
            vec![2, 0, 0, 0, 0xe7, 3],
            Reject::FRAME_UNKNOWN,
        ),
        ("of kind 0", vec![2, 0, 0, 0, 0, 0], Reject::FRAME_UNKNOWN),
        (
            "of the other direction",
            vec![2, 0, 0, 0, 22, 0],
            Reject::FRAME_UNEXPECTED,
        ),
        (
            "close with a body",
            vec![3, 0, 0, 0, 4, 0, 1],
            Reject::RECORD_MALFORMED,
        ),
        (
            "hello without a body",
            vec![2, 0, 0, 0, 1, 0],
            Reject::RECORD_MALFORMED,
        ),
    ] {
        assert_eq!(read::<BuyerFrame>(&octets), Err(number), "{name}");
    }
    let (_, sellers_window) = all()
        .into_iter()
        .find(|(name, _)| *name == "Window")
        .unwrap();
    assert_eq!(
        read::<BuyerFrame>(&sellers_window),
        Err(Reject::FRAME_UNEXPECTED)
    );
    for (name, mut octets) in all() {
        octets.push(0);
        let length = (octets.len() as u32 - 4).to_le_bytes();
        octets[..4].copy_from_slice(&length);
        let refused = [
            read::<BuyerFrame>(&octets).is_err(),
            read::<SellerFrame>(&octets).is_err(),
        ];
        assert_eq!(refused, [true; 2], "{name} with an octet behind it");
    }
}

#[test]
fn a_reader_holds_what_came_and_not_what_is_claimed() {
    let mut reader = Reader::<SellerFrame>::default();
    let claimed = (FRAME_BYTES_MAX as u32).to_le_bytes();
    assert_eq!(reader.read(&mut &claimed[..]), Ok(None));
    assert!(!reader.is_between_frames());
    let filler = vec![0; FRAME_BYTES_MAX];
    assert_eq!(reader.read(&mut &filler[..]), Err(Reject::FRAME_UNKNOWN));
}
