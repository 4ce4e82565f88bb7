//! Google's words for what moto knows by Amazon's: a proxy that renames the headers of metadata and conditions, both ways, and leaves all
//! else as it is. moto serves Google's requests, which are like Amazon's, but looks for Amazon's headers.

use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Request, Response,
    body::{Bytes, Incoming},
    header::{CONNECTION, ETAG, HOST, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH, TRANSFER_ENCODING},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
};
use std::{convert::Infallible, net::SocketAddr};
use tokio::net::TcpListener;

const GOOGLE: &str = "x-goog-meta-";
const AMAZON: &str = "x-amz-meta-";

/// Starts one before moto, for as long as the test's runtime lasts.
pub(crate) async fn translator(moto: &str) -> SocketAddr {
    prefix_indexer_cache_object_store::install_tls_provider();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (moto, client) = (format!("http://{moto}"), reqwest::Client::new());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (moto, client) = (moto.clone(), client.clone());
            let service = service_fn(move |request| translated(request, moto.clone(), client.clone()));
            tokio::spawn(async move {
                let server = Builder::new(TokioExecutor::new());
                drop(server.serve_connection(TokioIo::new(stream), service).await);
            });
        }
    });
    address
}

async fn translated(
    request: Request<Incoming>,
    moto: String,
    client: reqwest::Client,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let url = format!("{moto}{}", head.uri);
    let answer = client.request(head.method, url).headers(to_amazon(head.headers)).body(body).send().await.unwrap();
    let mut response = Response::builder().status(answer.status());
    *response.headers_mut().unwrap() = to_google(answer.headers());
    Ok(response.body(Full::new(answer.bytes().await.unwrap())).unwrap())
}

/// Conditions too: Google's clients name a generation, Amazon's the tag of what they have seen, which serves as one.
fn to_amazon(headers: HeaderMap) -> HeaderMap {
    let mut headers = renamed(headers, GOOGLE, AMAZON);
    if let Some(generation) = headers.remove("x-goog-if-generation-match") {
        match generation.to_str().unwrap() {
            "0" => headers.insert(IF_NONE_MATCH, HeaderValue::from_static("*")),
            tag => headers.insert(IF_MATCH, format!("\"{tag}\"").try_into().unwrap()),
        };
    }
    headers
}

fn to_google(headers: &HeaderMap) -> HeaderMap {
    let mut headers = renamed(headers.clone(), AMAZON, GOOGLE);
    if let Some(tag) = headers.get(ETAG) {
        let generation = tag.to_str().unwrap().trim_matches('"').try_into().unwrap();
        headers.insert("x-goog-generation", generation);
    }
    headers
}

fn renamed(headers: HeaderMap, from: &str, to: &str) -> HeaderMap {
    let mut renamed = HeaderMap::new();
    for (name, value) in &headers {
        // Those are each connection's own.
        if ![CONNECTION, HOST, TRANSFER_ENCODING].contains(name) {
            let name = match name.as_str().strip_prefix(from) {
                Some(rest) => HeaderName::try_from([to, rest].concat()).unwrap(),
                None => name.clone(),
            };
            renamed.append(name, value.clone());
        }
    }
    renamed
}
