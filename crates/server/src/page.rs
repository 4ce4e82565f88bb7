//! Pages for people, and the description for programs. All of them are in the program: no other machine is asked for anything.

use crate::{
    answer::{Problem, json_response},
    app, describe,
};
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::Response,
};

/// Nothing but what is in the page itself may run, and it may talk to this service alone.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `/`: what the index holds and how it does.
pub(crate) async fn index() -> Response {
    html(include_str!("page/index.html"))
}

/// `/docs`: the calls, from the description.
pub(crate) async fn docs() -> Response {
    html(include_str!("page/docs.html"))
}

/// `/openapi.json`
pub(crate) async fn openapi() -> Result<Response, Problem> {
    let description = describe::description(&app::calls()).map_err(|error| Problem::internal(&error))?;
    Ok(json_response(StatusCode::OK, description))
}

fn html(page: &'static str) -> Response {
    let mut response = Response::new(page.into());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

#[cfg(test)]
mod tests {
    const PAGES: [&str; 2] = [include_str!("page/index.html"), include_str!("page/docs.html")];

    /// What the page asks for comes from this service: every address in it is a path, or says where in the page.
    #[test]
    fn pages_ask_no_other_machine() {
        for page in PAGES {
            let addresses =
                ["src=\"", "href=\"", "url(", "fetch(\""].into_iter().flat_map(|before| page.split(before).skip(1));
            for address in addresses {
                let is_own = address.starts_with('#') || address.starts_with('/') && !address.starts_with("//");
                assert!(is_own || address.starts_with("data:"), "{}", &address[..address.len().min(60)]);
            }
            assert!(!page.contains("@import"));
        }
    }

    /// Everything that can be done is done with links and the controls of forms, which every browser reaches by key, in the order in which
    /// they stand; and where one is, is seen.
    #[test]
    fn pages_need_no_mouse() {
        for page in PAGES {
            let mouse = [
                "click",
                "mouse",
                "pointerdown",
                "touchstart",
                "dblclick",
                "tabindex",
                "autofocus",
                "outline: none",
                "outline:0",
            ];
            for word in mouse {
                assert!(!page.contains(word), "{word}");
            }
            assert!(page.contains(":focus-visible {"));
            // A control has a name: what its label or its own text says.
            for control in ["<input", "<select"] {
                for before in page.split(control).collect::<Vec<_>>().windows(2) {
                    let label = before[0].rsplit("<label").next().unwrap_or_default();
                    assert!(before[0].contains("<label") && !label.contains("</label>"), "{}", before[1]);
                }
            }
        }
    }
}
