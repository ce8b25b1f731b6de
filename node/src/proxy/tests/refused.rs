//! What a person reads of refusals: of the site's own server, and of this node's own.

use http::{StatusCode, header};
use http_body_util::BodyExt;
use madang_protocol::{name::SiteName, reject::Reject};

use super::World;
use crate::{
    fetch::FetchError,
    proxy::{failure, rebuild::Unfit},
};

#[tokio::test]
async fn what_the_sites_own_server_refuses_is_a_page_and_an_applications_errors_are_its_own() {
    let world = World::start();
    let korean = [("accept", "text/html"), ("accept-language", "ko")];
    for (path, status, english, hangul) in [
        (
            "/full",
            503,
            "The disk of the site's computer is full",
            "디스크가 가득 차서",
        ),
        (
            "/missing",
            404,
            "There is nothing at this address",
            "이 주소에는 아무것도 없습니다",
        ),
        (
            "/newer",
            503,
            "None left.",
            "지금은 사이트가 응답할 수 없습니다",
        ),
    ] {
        for (headers, words) in [(&korean[..1], english), (&korean[..], hangul)] {
            let (found, headers, page) = world.site(path, headers).await;
            assert_eq!(found.as_u16(), status, "{path}");
            assert_eq!(headers["content-type"], "text/html; charset=utf-8");
            assert!(page.contains(words), "{words}: {page}");
        }
        let (_, headers, _) = world.site(path, &[]).await;
        assert_eq!(headers["content-type"], "application/problem+json");
    }
    let (status, headers, text) = world.site("/app", &korean).await;
    assert_eq!(
        (status, &headers["content-type"]),
        (
            StatusCode::NOT_FOUND,
            &"application/problem+json".parse().unwrap()
        )
    );
    assert!(text.contains("https://app.example/none-left"), "{text}");
}

#[tokio::test]
async fn a_full_disk_of_ones_own_is_told_as_that() {
    let site: SiteName = "alice".parse().unwrap();
    let mut headers = http::HeaderMap::new();
    headers.insert(header::ACCEPT, "text/html".parse().unwrap());
    let answer = failure::answer(&FetchError::DiskFull, &site, failure::Reader::of(&headers));
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8(body.to_vec()).unwrap();
    assert!(
        text.contains("This computer's disk is full") && text.contains("Free some space"),
        "{text}"
    );
}

#[tokio::test]
async fn an_address_that_cannot_be_read_and_a_body_with_two_ends_are_told_as_what_they_are() {
    let site: SiteName = "alice".parse().unwrap();
    let unreadable = FetchError::Refused(Reject::PATH_UNREADABLE);
    for (language, accepts, word) in [
        ("en", "text/html", "an escaped slash"),
        ("ko", "text/html", "역슬래시"),
        ("ko", "application/json", "path-unreadable"),
    ] {
        let mut headers = http::HeaderMap::new();
        headers.insert(header::ACCEPT_LANGUAGE, language.parse().unwrap());
        headers.insert(header::ACCEPT, accepts.parse().unwrap());
        let reader = failure::Reader::of(&headers);
        for (answer, word) in [
            (failure::answer(&unreadable, &site, reader), word),
            (
                failure::answer_unfit(Unfit::TwoEnds, reader),
                "Transfer-Encoding",
            ),
        ] {
            assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            let text = String::from_utf8(body.to_vec()).unwrap();
            assert!(text.contains(word), "{word}: {text}");
        }
    }
}
