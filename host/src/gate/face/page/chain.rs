//! A chain as a picture: its steps in the layout's order, who signed each, and where it does not hold.

use linkgate_verifier::verdict::{Answer, Code, Decision, Finding, StepReport, Verdict};
use maud::{Markup, html};

use crate::report::names::Names;
use crate::terminal::harmless;

/// Boxes of a row, and measures in pixels.
const COLUMNS: usize = 4;
const WIDTH: usize = 236;
const HEIGHT: usize = 112;
const GAP: usize = 44;
const MARGIN: usize = 8;
/// Lines of a box for signers, and characters of a line.
const LINES: usize = 2;
const CHARACTERS: usize = 30;
/// Steps that are drawn.
const STEPS: usize = 60;

/// A box.
struct Shape {
    class: &'static str,
    name: String,
    state: String,
    lines: Vec<String>,
}

/// The picture of an answer.
pub(super) fn picture(answer: &Answer, names: &Names) -> Markup {
    let (steps, end) = match answer {
        Ok(verdict) => (&verdict.steps, end(verdict)),
        Err(undecided) => (
            &undecided.steps,
            Shape {
                class: "odd",
                name: "undecided".to_owned(),
                state: "? could not be judged".to_owned(),
                lines: Vec::new(),
            },
        ),
    };
    let mut names = names.clone();
    for step in steps {
        names.learn(step.signers.iter().map(|signer| &signer.key).chain(&step.missing));
    }
    let mut shapes: Vec<Shape> = steps.iter().take(STEPS).map(|step| shape(step, &names)).collect();
    shapes.push(end);
    let rows = shapes.len().div_ceil(COLUMNS);
    let columns = shapes.len().min(COLUMNS);
    let (width, height) = (
        MARGIN * 2 + columns * WIDTH + (columns - 1) * GAP,
        MARGIN * 2 + rows * HEIGHT + (rows - 1) * GAP,
    );
    html! {
        svg role="img" aria-label=(spoken(&shapes)) xmlns="http://www.w3.org/2000/svg"
            width=(width) viewBox={ "0 0 " (width) " " (height) } {
            defs { marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto" {
                path d="M0,0 L8,4 L0,8 z" {}
            } }
            @for at in 1..shapes.len() { path d=(arrow(at)) marker-end="url(#tip)" {} }
            @for (at, shape) in shapes.iter().enumerate() { (drawn(at, shape)) }
        }
    }
}

fn end(verdict: &Verdict) -> Shape {
    let holds = verdict.decision == Decision::Accept;
    let is_subject = |finding: &Finding| finding.code == Code::SubjectNotFound;
    let state = match (holds, verdict.findings.iter().all(is_subject)) {
        (true, _) => "\u{2713} the chain holds",
        (false, true) => "\u{2717} the chain did not make it",
        (false, false) => "\u{2717} the chain does not hold",
    };
    let found = verdict
        .subjects
        .iter()
        .map(|found| cut(&format!("as {} of {}", found.artifact, found.step)));
    Shape {
        class: if holds { "good" } else { "bad" },
        name: if holds { "accepted" } else { "rejected" }.to_owned(),
        state: state.to_owned(),
        lines: found.take(LINES).collect(),
    }
}

fn shape(step: &StepReport, names: &Names) -> Shape {
    let mut place = step.at.clone();
    place.push(step.name.clone());
    let signers: Vec<String> = step
        .signers
        .iter()
        .map(|signer| {
            let what = if signer.sublayout { "sublayout by" } else { "signed by" };
            format!("{what} {}", names.of_key(&signer.key))
        })
        .collect();
    let mut lines: Vec<String> = signers.iter().take(LINES).map(|line| cut(line)).collect();
    if signers.len() > LINES {
        lines.push(format!("and {} more", signers.len() - LINES));
    }
    if signers.len() < usize::try_from(step.threshold).unwrap_or(usize::MAX) && lines.len() < LINES {
        let missing: Vec<String> = step.missing.iter().map(|key| names.of_key(key)).collect();
        lines.push(cut(&format!("could sign: {}", missing.join(", "))));
    }
    let counts = format!("{} of {} signatures", step.signers.len(), step.threshold);
    Shape {
        class: if step.verified { "good" } else { "bad" },
        name: cut(&place.join("/")),
        state: format!("{} {counts}", if step.verified { "\u{2713}" } else { "\u{2717}" }),
        lines: lines
            .into_iter()
            .chain([format!("materials: {}, products: {}", step.materials, step.products)])
            .collect(),
    }
}

fn cut(text: &str) -> String {
    let text = harmless(text);
    if text.chars().nth(CHARACTERS).is_none() {
        return text;
    }
    text.chars().take(CHARACTERS).chain(['\u{2026}']).collect()
}

/// The picture in words.
fn spoken(shapes: &[Shape]) -> String {
    let each: Vec<String> = shapes
        .iter()
        .map(|shape| format!("{}: {}; {}", shape.name, shape.state, shape.lines.join(", ")))
        .collect();
    each.join(". ")
}

/// A box's upper left corner.
fn corner(at: usize) -> (usize, usize) {
    let (column, row) = (at % COLUMNS, at / COLUMNS);
    (MARGIN + column * (WIDTH + GAP), MARGIN + row * (HEIGHT + GAP))
}

/// The way from the box before to a box.
fn arrow(at: usize) -> String {
    let ((from_x, from_y), (x, y)) = (corner(at - 1), corner(at));
    if y == from_y {
        let middle = y + HEIGHT / 2;
        return format!("M{},{middle} L{},{middle}", from_x + WIDTH, x - 2);
    }
    let (start, between, end) = (from_x + WIDTH / 2, y - GAP / 2, x + WIDTH / 2);
    format!(
        "M{start},{} L{start},{between} L{end},{between} L{end},{}",
        from_y + HEIGHT,
        y - 2
    )
}

fn drawn(at: usize, shape: &Shape) -> Markup {
    let (x, y) = corner(at);
    html! {
        g class=(shape.class) {
            rect x=(x) y=(y) width=(WIDTH) height=(HEIGHT) rx="8" {}
            text.name x=(x + 12) y=(y + 26) { (shape.name) }
            text.state x=(x + 12) y=(y + 48) { (shape.state) }
            @for (number, line) in shape.lines.iter().enumerate() {
                text.soft x=(x + 12) y=(y + 68 + number * 17) { (line) }
            }
        }
    }
}
