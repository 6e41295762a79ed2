//! The page for people, at `/`: the policies, the last decisions, and for each the chain as a picture. No script, nothing
//! from elsewhere, and nothing on it that an answer of the gate does not hold. Off unless it is asked for.

mod chain;

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use linkgate_verifier::verdict::{Answer, Finding};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::gate::Gate;
use crate::gate::decision::{Decision, Outcome, PolicyDecision};
use crate::gate::policies::Policies;
use crate::gate::recent::Made;
use crate::report::names::Names;
use crate::terminal::harmless;

/// Nothing is loaded, framed or run.
const SECURITY: [(HeaderName, HeaderValue); 4] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
    ),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

const STYLE: &str = include_str!("page/style.css");

/// How many findings and warnings of one policy are listed.
const LISTED: usize = 50;

/// The policies and the last decisions.
pub(super) async fn overview(State(gate): State<Arc<Gate>>) -> Response {
    let policies = gate.policies();
    let broken = gate.broken();
    let decisions = gate.recent().all();
    let body = html! {
        h1 { "linkgate" }
        @if let Some(why) = broken {
            p.bad role="alert" { "The policies on the disk are broken, those from before are in force: " (harmless(&why)) }
        }
        h2 { "Policies" }
        (policies_table(&policies))
        h2 { "Last decisions" }
        @if decisions.is_empty() {
            p { "None since the start." }
        } @else {
            (decisions_table(&decisions))
        }
    };
    page("linkgate: policies and decisions", &body)
}

/// One decision, with the chain of each policy that governed the artifact.
pub(super) async fn decision(State(gate): State<Arc<Gate>>, Path(number): Path<u64>) -> Response {
    let Some(made) = gate.recent().get(number) else {
        let body = html! {
            h1 { "No such decision" }
            p { "Only the last ones are kept. " a href="/" { "Those that are" } }
        };
        let mut response = page("linkgate: no such decision", &body);
        *response.status_mut() = StatusCode::NOT_FOUND;
        return response;
    };
    let decision = &made.decision;
    let policies = gate.policies();
    let body = html! {
        p { a href="/" { "All decisions" } }
        h1 { (word(decision)) " " (harmless(&decision.subject)) }
        p { (harmless(&decision.message)) }
        dl {
            dt { "When" } dd { (made.at) }
            dt { "Asked by" } dd { (made.face.name()) }
            @if !decision.namespace.is_empty() { dt { "Namespace" } dd { (harmless(&decision.namespace)) } }
            dt { "Reason" } dd { (decision.reason) }
        }
        @for policy in &decision.policies {
            (policy_section(policy, &names(&policies, &policy.policy)))
        }
        @if !decision.warnings.is_empty() {
            h2 { "Warnings" }
            ul { @for warning in decision.warnings.iter().take(LISTED) { li { (harmless(warning)) } } }
        }
    };
    page(&format!("linkgate: {}", harmless(&decision.subject)), &body)
}

fn page(title: &str, body: &Markup) -> Response {
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { main { (body) } }
        }
    };
    let kind = (
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    (SECURITY, [kind], markup.into_string()).into_response()
}

fn policies_table(policies: &Policies) -> Markup {
    html! {
        table {
            thead { tr {
                th scope="col" { "Policy" } th scope="col" { "Mode" } th scope="col" { "Governs" }
                th scope="col" { "Namespaces" } th scope="col" { "Layout" } th scope="col" { "Evidence" }
            } }
            tbody {
                @for policy in &policies.all {
                    tr {
                        th scope="row" { (harmless(&policy.name)) }
                        td { (policy.mode.name()) }
                        td { @for pattern in policy.images.written.iter().chain(&policy.artifacts.written) { code { (harmless(pattern)) } " " } }
                        td { @if policy.namespaces.written.is_empty() { "all" } @else { (harmless(&policy.namespaces.to_string())) } }
                        td {
                            (policy.layout_file.file_name().unwrap_or_default().to_string_lossy())
                            @if let Some(expires) = policy.expires { ", expires " (expires) }
                        }
                        td { @for source in &policy.sources { (harmless(&source.name())) " " } }
                    }
                }
            }
        }
    }
}

fn decisions_table(decisions: &[Made]) -> Markup {
    html! {
        table {
            thead { tr {
                th scope="col" { "When" } th scope="col" { "Asked by" } th scope="col" { "Artifact" }
                th scope="col" { "Decision" } th scope="col" { "Why" }
            } }
            tbody {
                @for made in decisions {
                    tr {
                        td { a href={ "/decisions/" (made.number) } { (made.at) } }
                        td { (made.face.name()) }
                        td { code { (harmless(&made.decision.subject)) } }
                        td { (word(&made.decision)) }
                        td { (harmless(&made.decision.message)) }
                    }
                }
            }
        }
    }
}

fn word(decision: &Decision) -> Markup {
    let class = class_of(decision.outcome);
    html! { span class=(class) { @if decision.allowed { "allowed" } @else { "refused" } " (" (decision.outcome.name()) ")" } }
}

fn class_of(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Accept => "good",
        Outcome::Reject => "bad",
        Outcome::Undecided => "odd",
    }
}

fn policy_section(policy: &PolicyDecision, names: &Names) -> Markup {
    html! {
        section {
            h2 { "Policy " (harmless(&policy.policy)) ": " span class=(class_of(policy.outcome)) { (policy.outcome.name()) } }
            p { (harmless(&policy.message)) }
            @if let Some(answer) = policy.answer.as_deref() {
                (chain::picture(answer, names))
                (findings("Findings", reasons(answer), names))
                (findings("Warnings", warnings(answer), names))
            }
            @if let Some(sha256) = &policy.answer_sha256 { p.small { "Verdict sha256:" (sha256) } }
        }
    }
}

fn findings(title: &str, findings: &[Finding], names: &Names) -> Markup {
    html! {
        @if !findings.is_empty() {
            h3 { (title) }
            ul {
                @for finding in findings.iter().take(LISTED) {
                    li {
                        code { (finding.code.name()) } " "
                        @if !finding.at.is_empty() { "step " b { (harmless(&finding.at.join("/"))) } ": " }
                        (harmless(&names.within(&finding.message)))
                    }
                }
                @if findings.len() > LISTED { li { "and " (findings.len() - LISTED) " more" } }
            }
        }
    }
}

fn reasons(answer: &Answer) -> &[Finding] {
    match answer {
        Ok(verdict) => &verdict.findings,
        Err(undecided) => &undecided.reasons,
    }
}

fn warnings(answer: &Answer) -> &[Finding] {
    match answer {
        Ok(verdict) => &verdict.warnings,
        Err(undecided) => &undecided.warnings,
    }
}

/// What the keys of a policy are called.
fn names(policies: &Policies, policy: &str) -> Names {
    let found = policies.all.iter().find(|found| found.name == policy);
    found.map(|found| found.names.clone()).unwrap_or_default()
}
