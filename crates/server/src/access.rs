//! The door: who calls, and whether the caller may.

use crate::{
    answer::{Detail, Problem},
    app::App,
    tokens::{Caller, Right, Tenants},
};
use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, StatusCode, Uri, header, request::Parts, uri::Authority},
    middleware::Next,
    response::Response,
};
use serde_json::Value;
use std::{net::IpAddr, sync::Arc};

/// Lets callers with a right through, and tells what is behind who they are.
pub(crate) async fn guard(
    State((app, right)): State<(Arc<App>, Right)>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let caller = app.caller(request.headers())?;
    if !caller.may(right) {
        return Err(forbidden());
    }
    request.extensions_mut().insert(CallerOf(caller));
    Ok(next.run(request).await)
}

/// The caller of a request that came through [`guard`].
#[derive(Clone)]
pub(crate) struct CallerOf(pub(crate) Arc<Caller>);

impl<S: Sync> FromRequestParts<S> for CallerOf {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<CallerOf, Problem> {
        parts.extensions.get::<CallerOf>().cloned().ok_or_else(unauthorised)
    }
}

pub(crate) fn unauthorised() -> Problem {
    Problem::status(StatusCode::UNAUTHORIZED, "Unauthorized")
}

/// The same for a tenant that is not there and one that is another's.
pub(crate) fn forbidden() -> Problem {
    Problem::status(StatusCode::FORBIDDEN, "Forbidden")
}

/// The one tenant that a request is about, which stands in `place` of it; of a token with one tenant, that, and none for all of them.
pub(crate) fn one_tenant(
    caller: &Caller,
    asked: Option<String>,
    place: &'static str,
) -> Result<Option<String>, Problem> {
    match (asked, &caller.tenants) {
        (Some(tenant), _) if !caller.sees(&tenant) => Err(forbidden()),
        (None, Tenants::Only(tenants)) if tenants.len() == 1 => Ok(tenants.first().cloned()),
        (None, Tenants::Only(_)) => Err(Detail::missing(vec![place.into(), "tenant".into()], Value::Null).into()),
        (asked, _) => Ok(asked),
    }
}

impl App {
    fn caller(&self, headers: &HeaderMap) -> Result<Arc<Caller>, Problem> {
        let Some(tokens) = &self.tokens else { return Ok(self.anybody.clone()) };
        let mut given = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (given.next(), given.next()) else { return Err(unauthorised()) };
        let (scheme, token) = value.as_bytes().split_at_checked(7).ok_or_else(unauthorised)?;
        if !scheme.eq_ignore_ascii_case(b"Bearer ") {
            return Err(unauthorised());
        }
        tokens.find(token.trim_ascii()).cloned().ok_or_else(unauthorised)
    }
}

/// Where there are no tokens, whoever can connect is trusted; a page in this machine's browser can connect, too, and is not. It is
/// known by its origin, or by the name under which it looks this machine up.
pub(crate) fn comes_from_elsewhere(headers: &HeaderMap, uri: &Uri) -> bool {
    let host =
        headers.get(header::HOST).map(|host| host.as_bytes()).or(uri.authority().map(|host| host.as_str().as_bytes()));
    let local_host = host.is_none_or(|host| Authority::try_from(host).is_ok_and(|host| is_local(host.host())));
    let local_origin = headers.get(header::ORIGIN).is_none_or(|origin| {
        let origin = Uri::try_from(origin.as_bytes()).ok();
        // A page without an origin says `null`, which alone would pass for the name of a host.
        origin.filter(|origin| origin.scheme().is_some()).as_ref().and_then(Uri::host).is_some_and(is_local)
    });
    !(local_host && local_origin)
}

/// An address of ours, or a name that no name server of others answers for.
fn is_local(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    match address.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => !host.contains('.') || host.ends_with(".localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_others_are_known() {
        let check = |host: &str, origin: Option<&str>, elsewhere| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, origin.parse().unwrap());
            }
            assert_eq!(comes_from_elsewhere(&headers, &Uri::from_static("/")), elsewhere, "{host} {origin:?}");
        };
        check("127.0.0.1:8080", None, false);
        check("localhost:8080", Some("http://localhost:8080"), false);
        check("[::1]:8080", Some("http://127.0.0.1:8080"), false);
        check("indexer", None, false);
        check("evil.example", None, true);
        check("192.168.1.7", None, true);
        check("127.0.0.1:8080", Some("http://evil.example"), true);
        check("127.0.0.1:8080", Some("null"), true);
        check("not a host", None, true);
    }
}
