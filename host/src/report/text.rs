//! An answer as text for a terminal or a log.

use std::collections::BTreeMap;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use linkgate_verifier::verdict::{Answer, Basis, Code, Decision, Finding, StepReport, Undecided, Verdict};

use super::names::Names;
use crate::terminal::Lines;

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const ODD: Style = AnsiColor::Yellow.on_default();

/// How many artifacts that no rule constrains are named without `--verbose`.
const UNCONSTRAINED_SHOWN: usize = 5;

/// How many lines of a failed inspection's output are shown, and how many characters of each.
const OUTPUT_LINES: usize = 20;
const OUTPUT_CHARACTERS: usize = 400;

/// What the host knows besides the answer, and the answer does not hold.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// What keys are called.
    pub names: Names,
    /// The end of what inspections printed, by their places.
    pub outputs: BTreeMap<Vec<String>, String>,
    /// The folder of which inspections saw a copy, if they did not run in the folder itself.
    pub copied: Option<String>,
    /// The files that subjects were given as, by their digests, and what the links say of artifacts of their names.
    pub subjects: BTreeMap<String, SubjectFile>,
}

/// A file that was given as a subject.
#[derive(Clone, Debug, Default)]
pub struct SubjectFile {
    /// As it was given.
    pub path: String,
    /// Artifacts of its name in links that may have made it, with their digests.
    pub recorded: Vec<String>,
}

/// How much is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    /// Nothing but why it is not accepted.
    Quiet,
    /// A line a step, and the sum.
    #[default]
    Usual,
    /// Also every warning and every unconstrained artifact.
    Verbose,
}

/// Writes an answer.
pub fn write(out: &mut dyn Write, answer: &Answer, known: &Known, detail: Detail) -> io::Result<()> {
    let mut names = known.names.clone();
    let steps = match answer {
        Ok(verdict) => &verdict.steps,
        Err(undecided) => &undecided.steps,
    };
    for step in steps {
        names.learn(step.signers.iter().map(|signer| &signer.key).chain(&step.missing));
    }
    let mut page = Page {
        out: Lines::new(out),
        known,
        names,
        detail,
        in_a_copy: in_a_copy(answer, known),
    };
    match answer {
        Ok(verdict) => page.verdict(verdict),
        Err(undecided) => page.undecided(undecided),
    }
}

/// That what failed are inspections in a copy, and how they run without one.
pub fn in_a_copy(answer: &Answer, known: &Known) -> Option<String> {
    let findings = match answer {
        Ok(verdict) => &verdict.findings,
        Err(undecided) => &undecided.reasons,
    };
    let failed = findings.iter().any(|finding| known.outputs.contains_key(&finding.at));
    let folder = known.copied.as_deref().filter(|_| failed)?;
    Some(format!(
        "Inspections ran in a copy of `{folder}`; --inspect-in-place runs them in the folder itself"
    ))
}

struct Page<'p> {
    out: Lines<'p>,
    known: &'p Known,
    /// Those that are known, and those that the answer's keys have.
    names: Names,
    detail: Detail,
    /// What is said of inspections that failed.
    in_a_copy: Option<String>,
}

impl Page<'_> {
    fn verdict(&mut self, verdict: &Verdict) -> io::Result<()> {
        if self.detail != Detail::Quiet {
            for step in verdict.steps.iter().filter(|step| step.verified) {
                self.verified(step)?;
            }
            self.warnings(&verdict.warnings)?;
        }
        match verdict.decision {
            Decision::Accept if self.detail == Detail::Quiet => Ok(()),
            Decision::Accept => self.accepted(verdict),
            Decision::Reject => self.rejected(verdict),
        }
    }

    /// The last line of a reject, which says what it is about.
    fn verdict_on(verdict: &Verdict) -> &'static str {
        if verdict
            .findings
            .iter()
            .all(|finding| finding.code == Code::SubjectNotFound)
        {
            "this is not what the supply chain made"
        } else {
            "the supply chain does not hold"
        }
    }

    fn verified(&mut self, step: &StepReport) -> io::Result<()> {
        let signers: Vec<String> = step
            .signers
            .iter()
            .map(|signer| self.names.of_key(&signer.key))
            .collect();
        let what = match (step.signers.iter().any(|signer| signer.sublayout), signers.len()) {
            (true, _) => "sublayout signed by",
            (false, 1) => "link signed by",
            (false, _) => "links signed by",
        };
        self.out.styled(
            GOOD,
            format_args!("Step '{}' verified", path(&step.at, &step.name)),
            format_args!(" ({what} {})", signers.join(", ")),
        )
    }

    fn accepted(&mut self, verdict: &Verdict) -> io::Result<()> {
        let unconstrained = &verdict.unconstrained;
        if unconstrained.count == 0 {
            self.out.plain("All materials and products accounted for")?;
        } else {
            self.unconstrained(verdict)?;
        }
        for subject in &verdict.subjects {
            self.out.plain(format_args!(
                "Subject found: {} {} step '{}'",
                subject.artifact,
                if subject.list == "materials" {
                    "passed on by"
                } else {
                    "of"
                },
                subject.step
            ))?;
        }
        self.out.plain("No modifications detected")?;
        if verdict.trust.basis == Basis::Asserted {
            let message = "The layout is trusted on the caller's word: no signature on it was asked for";
            self.out.styled(ODD, message, "")?;
        }
        self.out.styled(GOOD, "Supply chain integrity verified", "")
    }

    fn unconstrained(&mut self, verdict: &Verdict) -> io::Result<()> {
        let count = verdict.unconstrained.count;
        let (artifacts, verb) = if count == 1 {
            ("artifact", "is")
        } else {
            ("artifacts", "are")
        };
        self.out.styled(
            ODD,
            format_args!("{count} {artifacts} {verb} constrained by no rule"),
            " (a final DISALLOW * would refuse):",
        )?;
        let shown = match self.detail {
            Detail::Verbose => verdict.unconstrained.artifacts.len(),
            _ => UNCONSTRAINED_SHOWN,
        };
        for artifact in verdict.unconstrained.artifacts.iter().take(shown) {
            self.out.plain(format_args!(
                "  {} of {}: {}",
                artifact.list,
                artifact.at.join("/"),
                artifact.artifact
            ))?;
        }
        let listed = shown.min(verdict.unconstrained.artifacts.len()) as u64;
        if count > listed {
            self.out.plain(format_args!(
                "  and {} more{}",
                count - listed,
                if self.detail == Detail::Verbose {
                    ""
                } else {
                    " (--verbose lists them)"
                }
            ))?;
        }
        Ok(())
    }

    fn rejected(&mut self, verdict: &Verdict) -> io::Result<()> {
        for finding in &verdict.findings {
            self.finding(finding, BAD)?;
            match finding.code {
                Code::ThresholdNotMet => self.missing(finding, verdict)?,
                Code::InspectionFailed => self.output(finding)?,
                Code::SubjectNotFound => self.subject(finding)?,
                _ => {}
            }
        }
        if verdict.omitted > 0 {
            self.out.plain(format_args!(
                "{} more findings and warnings are not listed",
                verdict.omitted
            ))?;
        }
        self.in_a_copy()?;
        let count = verdict.findings.len() as u64 + verdict.omitted;
        self.out.styled(
            BAD,
            "REJECTED:",
            format_args!(
                " {} ({count} finding{})",
                Self::verdict_on(verdict),
                if count == 1 { "" } else { "s" }
            ),
        )
    }

    fn undecided(&mut self, undecided: &Undecided) -> io::Result<()> {
        if self.detail != Detail::Quiet {
            self.warnings(&undecided.warnings)?;
        }
        for reason in &undecided.reasons {
            self.finding(reason, ODD)?;
        }
        self.in_a_copy()?;
        let rest = " no judgement was possible; treat it as a refusal";
        self.out.styled(ODD, "UNDECIDED:", rest)
    }

    /// Warnings: all with `--verbose`, else those that explain a refusal or may hide a hole.
    fn warnings(&mut self, warnings: &[Finding]) -> io::Result<()> {
        for warning in warnings {
            let told_elsewhere = warning.code == Code::UnconstrainedArtifact;
            if self.detail == Detail::Verbose || !told_elsewhere {
                self.out.styled(
                    ODD,
                    "warning",
                    format_args!(" [{}] {}", warning.code.name(), self.names.within(&warning.message)),
                )?;
                self.values(warning)?;
            }
        }
        Ok(())
    }

    fn finding(&mut self, finding: &Finding, style: Style) -> io::Result<()> {
        let head = if let [at @ .., name] = finding.at.as_slice() {
            let (what, outcome) = match finding.code {
                Code::InspectionNotRun => ("Inspection", "has no result"),
                Code::InspectionFailed | Code::InspectionMalformed => ("Inspection", "failed"),
                _ => ("Step", "failed"),
            };
            format!("{what} '{}' {outcome}", path(at, name))
        } else {
            "Failed".to_owned()
        };
        let message = self.names.within(&finding.message);
        let rest = format_args!(": {message} [{}]", finding.code.name());
        self.out.styled(style, head, rest)?;
        self.values(finding)
    }

    fn values(&mut self, finding: &Finding) -> io::Result<()> {
        if let (Some(list), Some(rule)) = (finding.list, finding.rule) {
            self.out
                .plain(format_args!("  by rule {} of expected_{list}", rule + 1))?;
        }
        if let Some(expected) = finding.expected.as_ref().filter(|value| !value.is_empty()) {
            self.out
                .plain(format_args!("  expected: {}", self.names.within(expected)))?;
        }
        if let Some(found) = finding.found.as_ref().filter(|value| !value.is_empty()) {
            self.out
                .plain(format_args!("  found:    {}", self.names.within(found)))?;
        }
        Ok(())
    }

    /// What a failed inspection printed, if it was run here.
    fn output(&mut self, finding: &Finding) -> io::Result<()> {
        let output = self.known.outputs.get(&finding.at).map_or("", String::as_str);
        let lines: Vec<&str> = output.lines().collect();
        for line in lines.iter().skip(lines.len().saturating_sub(OUTPUT_LINES)) {
            let line: String = line.chars().take(OUTPUT_CHARACTERS).collect();
            self.out.plain(format_args!("  | {}", line.replace('\t', "    ")))?;
        }
        Ok(())
    }

    fn in_a_copy(&mut self) -> io::Result<()> {
        match &self.in_a_copy {
            Some(said) => self.out.plain(said),
            None => Ok(()),
        }
    }

    /// Which file it is that the chain did not make, and what it made of that name.
    fn subject(&mut self, finding: &Finding) -> io::Result<()> {
        let known = self.known;
        let Some(file) = finding.expected.as_ref().and_then(|digest| known.subjects.get(digest)) else {
            return Ok(());
        };
        self.out.plain(format_args!("  file:     {}", file.path))?;
        for recorded in &file.recorded {
            self.out.plain(format_args!("  in links: {recorded}"))?;
        }
        Ok(())
    }

    /// Which links would fill a gap, and who could sign them.
    fn missing(&mut self, finding: &Finding, verdict: &Verdict) -> io::Result<()> {
        let Some((name, at)) = finding.at.split_last() else {
            return Ok(());
        };
        let mut steps = verdict.steps.iter();
        let step = steps.find(|step| step.name == *name && step.at == at);
        for key in step.into_iter().flat_map(|step| &step.missing) {
            let who = self.names.of_key(key);
            let Some(digits) = self.names.digits(key) else {
                self.out.plain(format_args!(
                    "  missing:  a link of '{}', which {who} could sign",
                    path(at, name)
                ))?;
                continue;
            };
            let document = format!("{}.{digits}.link", path(at, name));
            let is_there = |finding: &Finding| finding.document.as_deref() == Some(&*document);
            if verdict.warnings.iter().chain(&verdict.findings).any(is_there) {
                self.out.plain(format_args!(
                    "  not counted: {document}, which should be by {who}; the warning about it tells why"
                ))?;
            } else {
                self.out
                    .plain(format_args!("  missing:  {document}, which {who} could sign"))?;
            }
        }
        Ok(())
    }
}

fn path(at: &[String], name: &str) -> String {
    at.iter()
        .map(String::as_str)
        .chain([name])
        .collect::<Vec<_>>()
        .join("/")
}
