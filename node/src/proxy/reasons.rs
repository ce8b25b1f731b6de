//! Why something is refused, for a person to read: every refusal that a visitor can meet, in each language of the proxy's pages.

use madang_protocol::reject::Reject;

use super::words::Language;
use crate::web::Refusal;

/// The reason in one sentence; in English where it is none that a visitor meets.
pub(super) fn of(reject: Reject, language: Language) -> &'static str {
    match language {
        Language::English => reject.text(),
        Language::Korean => korean(reject).unwrap_or(reject.text()),
    }
}

/// What another node's own refusal says, and what can be done about it. Words of ours where the refusal is known; else what it says itself.
pub(super) fn told(refusal: &Refusal, language: Language) -> (&str, &'static str) {
    let say = |english, korean| language.say(english, korean);
    let later = say(
        "Nothing is wrong on your side. Try again later.",
        "내 컴퓨터의 문제가 아닙니다. 나중에 다시 시도해 주세요.",
    );
    let owner = say(
        "Try again later, or tell the site's owner.",
        "나중에 다시 시도하거나 사이트 주인에게 알려 주세요.",
    );
    let check = say(
        "Check the address, or begin at the site's first page.",
        "주소를 확인하거나 사이트의 첫 페이지에서 시작해 주세요.",
    );
    if refusal.code == Some(Reject::STORE_FULL) {
        let full = say(
            "The disk of the site's computer is full, so it sells nothing now.",
            "사이트를 제공하는 컴퓨터의 디스크가 가득 차서 지금은 판매하지 않습니다.",
        );
        return (full, later);
    }
    if let Some(reject) = refusal.code {
        return (of(reject, language), owner);
    }
    let (happened, advice) = match refusal.slug.as_str() {
        "nothing-here" => (
            (say(
                "There is nothing at this address.",
                "이 주소에는 아무것도 없습니다.",
            )),
            check,
        ),
        "address-malformed" => (
            say(
                "This address is not well formed.",
                "주소의 형식이 올바르지 않습니다.",
            ),
            check,
        ),
        "address-too-long" => (
            say("This address is too long.", "주소가 너무 깁니다."),
            check,
        ),
        "file-not-open" => (
            say(
                "This file is not open to be read.",
                "읽을 수 없게 되어 있는 파일입니다.",
            ),
            owner,
        ),
        "only-read" => (
            say(
                "This address can only be read.",
                "읽기만 할 수 있는 주소입니다.",
            ),
            check,
        ),
        "file-unreadable" => (
            say("The file could not be read.", "파일을 읽지 못했습니다."),
            owner,
        ),
        "files-too-many" => (
            say(
                "Too many files are being read.",
                "지금 읽고 있는 파일이 너무 많습니다.",
            ),
            later,
        ),
        "method-not-forwarded" => (
            say(
                "This method is not forwarded.",
                "전달되지 않는 요청 방식입니다.",
            ),
            "",
        ),
        "length-twofold" => (
            say(
                "The request states its length in two ways.",
                "요청의 길이가 두 가지로 표시되어 있습니다.",
            ),
            "",
        ),
        "request-unfit" => (
            say(
                "The request could not be forwarded.",
                "요청을 전달하지 못했습니다.",
            ),
            "",
        ),
        "upload-stalled" => (
            say(
                "What you sent stopped arriving.",
                "보내던 내용이 도중에 멈췄습니다.",
            ),
            say("Send it again.", "다시 보내 주세요."),
        ),
        "application-not-running" => (
            say(
                "The application behind this site is not running.",
                "사이트의 애플리케이션이 실행되고 있지 않습니다.",
            ),
            owner,
        ),
        "application-unreachable" => (
            say(
                "The application behind this site cannot be reached.",
                "사이트의 애플리케이션에 연결할 수 없습니다.",
            ),
            owner,
        ),
        "application-broken" => (
            say(
                "The application behind this site broke off.",
                "사이트의 애플리케이션이 응답하다가 끊어졌습니다.",
            ),
            owner,
        ),
        "application-silent" => (
            say(
                "The application behind this site did not answer in time.",
                "사이트의 애플리케이션이 제시간에 응답하지 않았습니다.",
            ),
            owner,
        ),
        _ => (refusal.words.as_str(), owner),
    };
    (happened, advice)
}

fn korean(reject: Reject) -> Option<&'static str> {
    Some(match reject {
        Reject::VERSION_UNKNOWN | Reject::FRAME_UNKNOWN => {
            "두 프로그램 가운데 하나가 너무 오래되어 서로 알아듣지 못합니다."
        }
        Reject::RECORD_EXPIRED => "기록의 유효 기간이 지났습니다.",
        Reject::RECORD_FROM_FUTURE => "기록의 시각이 미래입니다. 이 컴퓨터의 시계를 확인해 주세요.",
        Reject::SEQUENCE_OLD => "더 새로운 기록이 이미 있습니다.",
        Reject::FIELD_OUT_OF_BOUNDS => "요청의 내용이 허용된 범위를 벗어났습니다.",
        Reject::PASSPORT_EXPIRED => "여권의 유효 기간이 지났습니다. 사업자에 다시 로그인해 주세요.",
        Reject::PASSPORT_NOT_FRESH => {
            "최근 24시간 안의 여권이 필요합니다. 사업자에 다시 로그인해 주세요."
        }
        Reject::DEVICE_REVOKED => "이 기기의 등록이 취소되었습니다.",
        Reject::ACCOUNT_CLOSED => "닫힌 계정입니다.",
        Reject::CREDENTIALS_WRONG => "사용자 이름이나 비밀번호가 맞지 않습니다.",
        Reject::NAME_INVALID => "올바른 이름이 아닙니다.",
        Reject::NAME_TAKEN => "이미 쓰이는 이름입니다.",
        Reject::DEVICE_UNKNOWN => "등록되지 않은 기기입니다. `madang join`을 다시 실행해 주세요.",
        Reject::DEVICES_TOO_MANY => {
            "계정에 등록할 수 있는 기기 수를 넘었습니다. 먼저 하나를 취소해 주세요."
        }
        Reject::DEVICE_TAKEN => "다른 계정에 등록된 기기입니다.",
        Reject::NOT_A_SUBSCRIBER => "가입자만 이용할 수 있습니다.",
        Reject::NOT_A_MEMBER => "모임의 회원만 이용할 수 있습니다.",
        Reject::ACCOUNT_UNKNOWN => "그런 계정이 없습니다.",
        Reject::PATH_UNREADABLE => "주소를 읽을 수 없습니다.",
        Reject::PAYMENT_REQUIRED => "유료입니다.",
        Reject::TARIFF_UNKNOWN => "가격표를 알 수 없습니다.",
        Reject::TARIFF_CHANGED => "가격표가 바뀌었습니다. 새 가격을 보고 다시 동의해 주세요.",
        Reject::TARIFF_NOT_VALID_NOW => "지금은 유효하지 않은 가격표입니다.",
        Reject::CURRENCY_FOREIGN => "가격표의 통화가 이 네트워크의 통화와 다릅니다.",
        Reject::CREDIT_INSUFFICIENT => "지갑의 잔액이 부족합니다. 충전해 주세요.",
        Reject::GRANT_EXPIRED => "결제 허가의 유효 기간이 지났습니다.",
        Reject::GRANT_EXHAUSTED => "결제 허가를 다 썼습니다.",
        Reject::GRANT_CLOSED => "결제 허가가 닫혔습니다.",
        Reject::GRANT_LIMIT_REACHED => {
            "이 기기의 결제 허가가 너무 많습니다. 나중에 다시 시도해 주세요."
        }
        Reject::SELF_DEALING => "자기 자신에게는 결제할 수 없습니다.",
        Reject::AMOUNT_TOO_LARGE => "금액이 너무 큽니다.",
        Reject::SESSION_UNKNOWN => "결제 연결을 알 수 없습니다.",
        Reject::RECEIPT_OVERDUE => "받은 것에 대한 영수증이 아직 없습니다.",
        Reject::SELLER_OVERCHARGES => "받은 것보다 많은 금액이 청구되었습니다.",
        Reject::BODY_NOT_DELIVERED => "값을 치른 내용이 오지 않았습니다.",
        Reject::BUDGET_EXCEEDED => "이 사이트의 예산을 넘습니다.",
        Reject::CONSENT_NEEDED => "이 사이트의 요금에 동의하지 않았습니다.",
        Reject::SESSIONS_TOO_MANY => "결제 연결이 너무 많습니다.",
        Reject::EXPOSURE_REACHED => "판매자가 허용하는 외상 한도에 이르렀습니다.",
        Reject::SETTLE_TOO_LATE => "정산할 수 있는 기간이 지났습니다.",
        Reject::TOO_MANY => "이미 너무 많습니다.",
        Reject::BUSY => "지금은 일이 너무 많습니다. 잠시 뒤 다시 시도해 주세요.",
        Reject::STORE_FULL => "저쪽 디스크가 가득 차서 아무것도 받아들이지 않았습니다.",
        Reject::STORE_FAILED => "기록을 저장하지 못해 아무것도 받아들이지 않았습니다.",
        Reject::ANCHOR_UNREACHABLE => "사업자에 연결할 수 없습니다. 이미 허가된 이용은 계속됩니다.",
        Reject::SLOW_DOWN => "시도가 너무 잦습니다. 잠시 기다려 주세요.",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use madang_protocol::reject::Fault;

    /// Of paying sessions, and what passes by itself.
    const HUNDREDS: [u16; 2] = [4, 9];

    use super::*;

    #[test]
    fn what_refuses_a_visitor_without_a_peers_fault_is_said_in_korean() {
        let met =
            |reject: &Reject| reject.fault() != Fault::Peer && HUNDREDS.contains(&(reject.0 / 100));
        let closed = [
            Reject::DEVICE_REVOKED,
            Reject::NOT_A_SUBSCRIBER,
            Reject::NOT_A_MEMBER,
        ];
        for reject in Reject::all().filter(met).chain(closed) {
            assert!(korean(reject).is_some(), "{reject}");
        }
    }
}
