//! Answers of HTTP servers: no answer panics a check, and the verdict does not hang on how TCP cut
//! it into pieces.

use std::sync::{Arc, LazyLock};

use xlvs_health::{
    Fault, Outcome,
    dialogue::{HEAD_LIMIT, Http, Page, Pattern},
};
use xlvs_model::health::{StatusRange, Url, UrlRegex};

/// The first byte of an input chooses what is asked for, the second the pieces; then the answer.
pub(crate) fn run(data: &[u8]) {
    let [page, piece, answer @ ..] = data else { return };
    let page = &PAGES[usize::from(*page) % PAGES.len()];
    let whole = ask(page, answer, answer.len());
    let pieces = ask(page, answer, usize::from(*piece));
    // A longer head may be taken if it comes at once.
    if answer.len() < HEAD_LIMIT {
        assert_eq!(plain(whole), plain(pieces), "in pieces of {piece}");
    }
}

fn ask(page: &Arc<Page>, answer: &[u8], piece: usize) -> Outcome {
    let mut http = Http::new(Arc::clone(page));
    let mut pieces = answer.chunks(piece.max(1));
    pieces.find_map(|bytes| http.feed(bytes)).unwrap_or_else(|| http.end())
}

/// What is wrong with what is no HTTP depends on where one stops reading.
fn plain(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Bad(Fault::NotHttp(_)) => Outcome::Bad(Fault::NotHttp(String::new())),
        outcome => outcome,
    }
}

fn page(url: Url) -> Arc<Page> {
    let pattern = url.regex.as_ref().map(|terms| Pattern::new(terms).expect("a pattern"));
    Arc::new(Page { url, pattern })
}

fn regex(pattern: &str, options: &[&str]) -> UrlRegex {
    let options = options.iter().map(|option| (*option).to_owned()).collect();
    UrlRegex { pattern: pattern.into(), options, ..UrlRegex::default() }
}

static PAGES: LazyLock<[Arc<Page>; 5]> = LazyLock::new(|| {
    // Of `hello`.
    let digest = "5d41402abc4b2a76b9719d911017c592".parse().ok();
    let status = [(100, 199), (404, 404)].map(StatusRange::from).to_vec();
    let found = regex("he(l+)o$", &["caseless"]);
    let absent = UrlRegex {
        min_offset: 3,
        max_offset: Some(20),
        no_match: true,
        ..regex("^a.*b", &["dotall", "firstline"])
    };
    [
        page(Url::default()),
        page(Url { digest, ..Url::default() }),
        page(Url { status, ..Url::default() }),
        page(Url { regex: Some(found), ..Url::default() }),
        page(Url { regex: Some(absent), ..Url::default() }),
    ]
});
