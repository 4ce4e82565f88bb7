//! `POST` and `GET /v1/plan`: what to load, given so many bytes; `GET /v1/plan/{id}`: how that did.

use crate::{
    access::{CallerOf, forbidden, one_tenant},
    answer::{Detail, Problem, json_of},
    app::{App, wall_clock_ms},
    describe::{self, AMOUNT, Answer, Call, DURATION, IDS, Kind, Method, Param, Place, SIZE, TEXT, TIME, call},
    events::document,
    params::Params,
    tokens::{Caller, Right, Tenants},
    v1::suggest::{Resident, active},
};
use axum::{
    body::Body,
    extract::{Path, State, rejection::PathRejection},
    http::{HeaderMap, StatusCode, Uri},
    response::Response,
};
use prefix_indexer::{
    MAX_INTEGER, PAGE_TOKENS, Plan, PlanQuery, ServiceError,
    analytics::Learner,
    cache::{ByteSize, Period},
    now_of,
};
use serde::Deserialize;
use serde_json::Value;
use std::{collections::BTreeMap, str::FromStr, sync::Arc, time::Duration};

const RATE: &str = r#"{"type": "string", "pattern": "^[0-9]+ ?(B|[KMGT]i?B)?(/s)?$", "examples": ["2GiB/s"]}"#;
const QUOTAS: &str = r#"{"type": "array", "items": {"type": "string", "examples": ["acme=10GiB"]}}"#;

const PLANNED: Answer = Answer { status: 200, what: "The plan, which `warm --plan` takes", kind: Kind::One("Plan") };

pub(crate) const POST: Call = Call {
    id: "plan",
    summary: "What to load, given so many bytes",
    description: "On disk when it is answered, so that what comes of it counts.",
    body: describe::Body::Document("PlanAsked"),
    answer: PLANNED,
    ..call(Method::Post, "/v1/plan", Some(Right::Read))
};

pub(crate) const GET: Call = Call {
    id: "plan_at",
    summary: "The same with a query, so that a plan has an address",
    params: &[
        Param::query("budget", SIZE, "Most bytes").required(),
        Param::query("horizon", DURATION, "How long after now uses count").required(),
        Param::query("now", TIME, "The moment to plan for"),
        Param::query("policy", TEXT, "Who says what will be used"),
        Param::query("tenant", TEXT, "Only of this tenant"),
        Param::query("model", TEXT, "Only of this model"),
        Param::query("active", IDS, "Resident prefixes"),
        Param::query("bandwidth", RATE, "How fast blocks are loaded: what is computed faster is left out"),
        Param::query("deadline", DURATION, "With bandwidth: time for loading"),
        Param::query("prefill_us_per_token", AMOUNT, "Cost of prefill"),
        Param::query("page_tokens", r#"{"type": "integer", "minimum": 1}"#, "Tokens of a page"),
        Param::query("quota", QUOTAS, "Most bytes of a tenant"),
        Param::query(
            "bands",
            r#"{"type": "boolean", "default": false}"#,
            "Whether each layer and page band is an entry of its own",
        ),
    ],
    answer: PLANNED,
    statuses: &[503],
    ..call(Method::Get, "/v1/plan", Some(Right::Read))
};

pub(crate) const OUTCOME: Call = Call {
    id: "plan_outcome",
    summary: "How a plan did",
    params: &[Param {
        name: "id",
        place: Place::Path,
        required: true,
        schema: r#"{"type": "string", "minLength": 1}"#,
        what: "The plan's `plan_id`",
    }],
    answer: Answer { status: 200, what: "So far", kind: Kind::One("Outcome") },
    statuses: &[404],
    ..call(Method::Get, "/v1/plan/{id}", Some(Right::Read))
};

/// As the arguments of `prefix-indexer plan`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    budget: ByteSize,
    horizon: Period,
    now: Option<u64>,
    policy: Option<String>,
    tenant: Option<String>,
    model: Option<String>,
    #[serde(default)]
    active: Vec<Resident>,
    bandwidth: Option<Rate>,
    deadline: Option<Period>,
    prefill_us_per_token: Option<f64>,
    page_tokens: Option<u64>,
    /// Of tenants.
    #[serde(default)]
    quota: BTreeMap<String, ByteSize>,
    /// What the command finds out by the key of `[blocks]`.
    #[serde(default)]
    bands: bool,
}

/// Bytes a second: a size, with or without the `/s` of the command line.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "Written")]
struct Rate(ByteSize);

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Size(ByteSize),
}

impl TryFrom<Written> for Rate {
    type Error = String;

    fn try_from(written: Written) -> Result<Rate, String> {
        match written {
            Written::Text(text) => text.parse(),
            Written::Size(size) => Ok(Rate(size)),
        }
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Rate, String> {
        text.strip_suffix("/s").unwrap_or(text).parse().map(Rate)
    }
}

/// Reads `acme=10GiB`.
fn quota(text: &str) -> Result<(String, ByteSize), String> {
    match text.rsplit_once('=') {
        Some((tenant, size)) if !tenant.is_empty() => Ok((tenant.to_owned(), size.parse()?)),
        _ => Err(format!("`{text}` is not a quota: expected as in acme=10GiB")),
    }
}

pub(crate) async fn post(
    State(app): State<Arc<App>>,
    CallerOf(caller): CallerOf,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    Params::of(&uri, POST.params).finish()?;
    let payload = app.read_body(&headers, body).await?;
    make(app, &caller, document(&payload.bytes)?, "body").await
}

/// The same with a query, so that a plan has an address.
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    CallerOf(caller): CallerOf,
    uri: Uri,
) -> Result<Response, Problem> {
    let mut params = Params::of(&uri, GET.params);
    let (budget, horizon) = (params.parsed("budget", str::parse), params.parsed("horizon", str::parse));
    let asked = Asked {
        budget: budget.unwrap_or(ByteSize(0)),
        horizon: horizon.unwrap_or(Period(Duration::ZERO)),
        now: params.integer("now", 0..=MAX_INTEGER),
        policy: params.text("policy"),
        tenant: params.text("tenant"),
        model: params.text("model"),
        active: params.all("active").into_iter().map(Resident::Id).collect(),
        bandwidth: params.parsed("bandwidth", str::parse),
        deadline: params.parsed("deadline", str::parse),
        prefill_us_per_token: params.amount("prefill_us_per_token"),
        page_tokens: params.integer("page_tokens", 1..=MAX_INTEGER),
        quota: params.all_parsed("quota", quota).into_iter().collect(),
        bands: params.flag("bands"),
    };
    params.finish()?;
    for (name, is_there) in [("budget", budget.is_some()), ("horizon", horizon.is_some())] {
        if !is_there {
            return Err(Detail::missing(vec!["query".into(), name.into()], Value::Null).into());
        }
    }
    make(app, &caller, asked, "query").await
}

/// Makes the plan that is asked for in some `place` of a request.
async fn make(app: Arc<App>, caller: &Caller, mut asked: Asked, place: &'static str) -> Result<Response, Problem> {
    asked.tenant = one_tenant(caller, asked.tenant.take(), place)?;
    if !asked.quota.keys().all(|tenant| caller.sees(tenant)) {
        return Err(forbidden());
    }
    // Milliseconds for large budgets: where nobody waits for it.
    let book = Arc::clone(&app.book);
    let planned = tokio::task::spawn_blocking(move || app.plan(&asked, place)).await;
    let plan = planned.map_err(|error| Problem::internal(&error))??;
    // What is loaded by it is judged by what comes, whatever happens to this process.
    book.until_saved().await?;
    json_of(StatusCode::OK, &plan)
}

impl App {
    fn plan(&self, asked: &Asked, place: &'static str) -> Result<Plan, Problem> {
        let view = self.indexer.snapshot();
        let active = active(asked.active.iter().cloned());
        let milliseconds = |period: Period| u64::try_from(period.0.as_millis()).unwrap_or(u64::MAX);
        let horizon_ms = milliseconds(asked.horizon);
        let quotas: Vec<(String, u64)> = asked.quota.iter().map(|(tenant, size)| (tenant.clone(), size.0)).collect();
        let experience = self.book.lock().plans.experience().clone();
        let query = PlanQuery {
            now_ms: asked.now.or_else(|| Some(now_of(view.newest_ms(), wall_clock_ms(), horizon_ms))),
            policy: asked.policy.as_deref().unwrap_or("auto"),
            tenant: asked.tenant.as_deref(),
            model_id: asked.model.as_deref(),
            active: active.as_ref(),
            bytes_per_second: asked.bandwidth.map(|rate| rate.0.0 as f64),
            deadline_ms: asked.deadline.map(milliseconds),
            prefill_us_per_token: asked.prefill_us_per_token,
            page_tokens: asked.page_tokens.unwrap_or(PAGE_TOKENS),
            quotas: &quotas,
            bands: asked.bands,
            experience: Some(&experience),
            ..PlanQuery::new(asked.budget.0, horizon_ms)
        };
        let started = std::time::Instant::now();
        let learned = self.book.learned();
        let plan = query.run(&view, learned.as_deref().map(Learner::model)).map_err(|error| match error {
            ServiceError::Plan { .. } | ServiceError::Policy { .. } => {
                Detail::value_error(vec![place.into()], error, Value::Null).into()
            }
            error => Problem::internal(&error),
        })?;
        self.requests.planned(started.elapsed());
        self.book.lock().plans.add(&plan, &query);
        Ok(plan)
    }
}

pub(crate) async fn outcome(
    State(app): State<Arc<App>>,
    CallerOf(caller): CallerOf,
    plan_id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let Ok(Path(plan_id)) = plan_id else { return Err(Problem::not_found()) };
    let visible = |tenant: Option<&str>| match tenant {
        Some(tenant) => caller.sees(tenant),
        None => caller.tenants == Tenants::All,
    };
    let outcome = app.book.lock().plans.outcome(&plan_id, visible);
    json_of(StatusCode::OK, &outcome.ok_or_else(Problem::not_found)?)
}
