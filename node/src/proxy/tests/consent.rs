//! Who is asked, when, and whose answer counts.

use std::collections::BTreeSet;

use super::*;

#[tokio::test]
async fn the_first_paid_page_asks_then_pays_and_comes_back() {
    let world = World::start();
    let (status, headers, _) = world.site("/report?x=1", BY_HAND).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    let question = location(&headers);
    assert!(
        question.starts_with(&format!("http://{}/consent/", world.console_host())),
        "{question}"
    );
    let (status, headers, page) = world.console("GET", &path_of(&question), BY_HAND, "").await;
    assert_eq!(
        (status, &headers["x-frame-options"]),
        (StatusCode::OK, &header::HeaderValue::from_static("DENY"))
    );
    assert!(
        page.contains("500 KRW per request")
            && page.contains("/report?x=1")
            && page.contains("Alice's garden")
            && page.contains("3 requests free every day")
            && page.contains("1,500 KRW of 10,000 KRW spent, 8,500 KRW left"),
        "{page}"
    );
    let korean = [("accept-language", "ko")];
    let (_, _, page) = world.console("GET", &path_of(&question), &korean, "").await;
    assert!(
        page.contains("1회당 500 KRW")
            && page.contains("매일 3회 무료")
            && page.contains("1,500 KRW (예산 10,000 KRW, 남은 금액 8,500 KRW)"),
        "{page}"
    );

    let origin = format!("http://{}", world.console_host());
    let own = [
        ("origin", origin.as_str()),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    let (status, _, page) = world
        .console("POST", &path_of(&question), &own, "how=use&budget=lots")
        .await;
    assert!(
        status == StatusCode::OK
            && page.contains("value=\"lots\"")
            && page.contains("role=\"alert\""),
        "{page}"
    );
    let (_, _, page) = world
        .console("POST", &path_of(&question), &own, "how=use&budget=5,00")
        .await;
    assert!(page.contains("not a number"), "{page}");
    let (_, _, page) = world
        .console("POST", &path_of(&question), &own, "how=use&budget=499")
        .await;
    assert!(page.contains("role=\"alert\""), "{page}");
    let (_, _, page) = world
        .console(
            "POST",
            &path_of(&question),
            &own,
            "how=use&budget=1000000001",
        )
        .await;
    assert!(page.contains("at most 1000000000"), "{page}");
    assert!(world.network.agreed.lock().is_empty());

    let (status, headers, _) = world
        .console("POST", &path_of(&question), &own, "how=use&budget=2%2C000")
        .await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    let back = location(&headers);
    let agreed = world.network.agreed.lock()[0].clone();
    assert_eq!(
        (agreed.budget, agreed.passes),
        (Amount::from_units(2_000).unwrap(), BTreeSet::new())
    );
    let (status, headers, page) = world.site(&path_of(&back), BY_LINK).await;
    assert!(
        status == StatusCode::OK && page.contains("0;url=/report?x=1"),
        "{page}"
    );
    let cookie = headers[header::SET_COOKIE].to_str().unwrap().to_owned();
    assert!(
        cookie.contains("SameSite=Strict") && cookie.contains("HttpOnly"),
        "{cookie}"
    );

    let (_, _, page) = world
        .site("/report?x=1", &[("sec-fetch-site", "same-origin")])
        .await;
    assert_eq!(page, "hello from /report?x=1");
    let pair = cookie.split(';').next().unwrap();
    assert_eq!(
        world.site("/report", &[("cookie", pair)]).await.0,
        StatusCode::OK
    );
    assert!(
        !world
            .network
            .seen
            .lock()
            .last()
            .unwrap()
            .contains_key("cookie")
    );

    let (status, _, _) = world
        .console("POST", &path_of(&question), &own, "how=use&budget=2000")
        .await;
    assert_eq!(
        (status, world.network.agreed.lock().len()),
        (StatusCode::GONE, 1)
    );
    assert_eq!(location(&world.site(&path_of(&back), BY_LINK).await.1), "/");
}

#[tokio::test]
async fn another_sites_page_never_spends() {
    let world = World::start();
    world
        .network
        .agree(Agreement {
            site: "alice".parse().unwrap(),
            tariff: world.network.quote.tariff.tariff_hash(),
            budget: Amount::MAX,
            passes: BTreeSet::new(),
        })
        .await
        .unwrap();
    for embedding in [
        &[
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "no-cors"),
            ("sec-fetch-dest", "image"),
        ][..],
        &[
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "iframe"),
            ("accept", "text/html"),
        ],
        &[
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "cors"),
            ("sec-fetch-dest", "empty"),
        ],
        &[],
    ] {
        let (status, headers, _) = world.site("/report", embedding).await;
        assert_eq!(
            (status, headers.get(header::LOCATION)),
            (StatusCode::PAYMENT_REQUIRED, None),
            "{embedding:?}"
        );
    }
    let (status, headers, page) = world.site("/report", BY_LINK).await;
    assert_eq!(
        (status, headers["x-frame-options"].as_bytes()),
        (StatusCode::PAYMENT_REQUIRED, &b"DENY"[..])
    );
    assert!(
        page.contains("href=\"/report\"") && page.contains("500 KRW"),
        "{page}"
    );
}

#[tokio::test]
async fn the_consent_page_is_not_framed_read_or_submitted_by_a_site() {
    let world = World::start();
    let question = path_of(&location(&world.site("/report", BY_HAND).await.1));
    let framed = [("sec-fetch-dest", "iframe"), ("sec-fetch-mode", "navigate")];
    assert_eq!(
        world.console("GET", &question, &framed, "").await.0,
        StatusCode::FORBIDDEN
    );
    let site = format!("http://{}", world.site_host("alice"));
    for origin in [Some(site.as_str()), Some("null"), None] {
        let headers: Vec<_> = origin
            .map(|origin| ("origin", origin))
            .into_iter()
            .collect();
        assert_eq!(
            world
                .console("POST", &question, &headers, "how=use&budget=9999")
                .await
                .0,
            StatusCode::FORBIDDEN,
            "{origin:?}"
        );
    }
    let own = format!("http://{}", world.console_host());
    let forged = [("origin", own.as_str()), ("sec-fetch-site", "cross-site")];
    assert_eq!(
        world
            .console("POST", &question, &forged, "how=use&budget=9999")
            .await
            .0,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        world
            .console(
                "POST",
                "/withdraw",
                &[("origin", site.as_str())],
                "site=alice"
            )
            .await
            .0,
        StatusCode::FORBIDDEN
    );
    let (status, ..) = send(
        world.bound.console.port(),
        "GET",
        &question,
        &[("host", "evil.example")],
        "",
    )
    .await;
    assert_eq!(status, StatusCode::MISDIRECTED_REQUEST);
    assert!(world.network.agreed.lock().is_empty());
}

#[tokio::test]
async fn agreements_are_listed_and_taken_back() {
    let world = World::start();
    world
        .network
        .agree(Agreement {
            site: "alice".parse().unwrap(),
            tariff: world.network.quote.tariff.tariff_hash(),
            budget: Amount::MAX,
            passes: BTreeSet::new(),
        })
        .await
        .unwrap();
    let (_, _, page) = world
        .console("GET", "/", &[("accept-language", "ko")], "")
        .await;
    assert!(
        page.contains("alice") && page.contains("동의 철회") && page.contains("lang=\"ko\""),
        "{page}"
    );
    let own = format!("http://{}", world.console_host());
    assert_eq!(
        world
            .console(
                "POST",
                "/withdraw",
                &[("origin", own.as_str())],
                "site=alice"
            )
            .await
            .0,
        StatusCode::SEE_OTHER
    );
    assert!(world.network.agreed.lock().is_empty());
}
