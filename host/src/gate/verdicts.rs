//! Verdicts that were reached: kept for as long as they cannot have become others.
//!
//! The key is the digest of everything that a verdict depends on but the time, and the time is bounded by what the verdict
//! itself says. A key that missed an input would let one artifact pass on another's verdict; so the key is made of the
//! whole question, field by field, and a test changes each.

use std::sync::Arc;
use std::time::{Duration, Instant as Moment};

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use linkgate_verifier::instant::Instant;
use linkgate_verifier::request::Subject;
use linkgate_verifier::verdict::{Answer, Code, Decision};
use moka::Expiry;
use moka::future::Cache;

use super::policy::Policy;
use crate::evidence::{About, Piece};

/// Everything that a verdict depends on, but the time.
#[derive(Clone, Debug)]
pub struct Inputs<'i> {
    /// The digest of the component that judges.
    pub component: &'i str,
    /// Who does the arithmetic of signatures.
    pub checker: &'i str,
    /// The policy: layout, trust, inspection keys, options and the templates of its parameters.
    pub policy: &'i Policy,
    /// The artifact, whose name, digest and namespace fill the parameters.
    pub about: &'i About,
    /// What the chain must have made.
    pub subjects: &'i [Subject],
    /// Links and sublayouts, by name and digest; inspections' links are among them.
    pub evidence: &'i [(Arc<Piece>, Bytes)],
}

/// A verdict's key.
pub type Key = [u8; 32];

impl Inputs<'_> {
    /// The digest of all of it. Each field goes in with its length, so that nothing of one can be taken for another.
    pub fn key(&self) -> Key {
        let mut sum = Sum(Context::new(&SHA256));
        sum.text(self.component);
        sum.text(self.checker);
        sum.text(&self.policy.name);
        sum.text(&self.policy.digest.to_string());
        sum.text(self.about.name.as_deref().unwrap_or_default());
        sum.text(if self.about.image.is_some() {
            "image"
        } else {
            "artifact"
        });
        sum.text(&self.about.digest.to_string());
        sum.text(&self.about.namespace);
        sum.number(self.subjects.len());
        for subject in self.subjects {
            sum.text(if subject.name.is_some() { "named" } else { "any" });
            sum.text(subject.name.as_deref().unwrap_or_default());
            sum.number(subject.digests.len());
            for (algorithm, value) in &subject.digests {
                sum.text(algorithm);
                sum.text(value);
            }
        }
        sum.number(self.evidence.len());
        for (piece, _) in self.evidence {
            sum.text(&piece.name);
            sum.text(piece.digest.algorithm());
            sum.text(piece.digest.hex());
        }
        sum.finish()
    }
}

struct Sum(Context);

impl Sum {
    fn number(&mut self, number: usize) {
        self.0.update(&(number as u64).to_be_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len());
        self.0.update(text.as_bytes());
    }

    fn finish(self) -> Key {
        let mut key = [0; 32];
        key.copy_from_slice(self.0.finish().as_ref());
        key
    }
}

/// A verdict as it is kept.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The answer.
    pub answer: Arc<Answer>,
    /// The SHA-256 of its JSON form.
    pub sha256: String,
    /// When it was judged.
    pub judged: Instant,
}

/// How long verdicts are kept.
#[derive(Clone, Copy, Debug)]
pub struct Keeping {
    /// An accept.
    pub accept: Duration,
    /// Anything else.
    pub negative: Duration,
    /// How many bytes of answers.
    pub bytes: u64,
}

impl Kept {
    /// Whether the same question would get the same answer at that time.
    fn holds(&self, now: Instant) -> bool {
        // A clock that was set back is no reason to believe what was judged later.
        now.0 >= self.judged.0
            && match &*self.answer {
                Ok(verdict) => verdict.valid_until.is_none_or(|end| now.0 < end),
                Err(_) => true,
            }
    }

    /// Whether it depends on the inputs alone: not on a token that was away, nor on how busy this machine was.
    fn is_repeatable(&self) -> bool {
        match &*self.answer {
            Ok(_) => true,
            Err(undecided) => !undecided
                .reasons
                .iter()
                .any(|reason| matches!(reason.code, Code::VerifierStopped | Code::SignatureUnchecked)),
        }
    }
}

struct Lasting(Keeping);

impl Expiry<Key, Kept> for Lasting {
    fn expire_after_create(&self, _: &Key, kept: &Kept, _: Moment) -> Option<Duration> {
        let (most, end) = match &*kept.answer {
            Ok(verdict) if verdict.decision == Decision::Accept => (self.0.accept, verdict.valid_until),
            Ok(verdict) => (self.0.negative, verdict.valid_until),
            Err(_) => (self.0.negative, None),
        };
        let left = end.map(|end| Duration::from_secs(u64::try_from(end - kept.judged.0).unwrap_or(0)));
        Some(left.map_or(most, |left| most.min(left)))
    }
}

/// The verdicts at hand.
pub struct Verdicts {
    kept: Cache<Key, Kept>,
    keeping: Keeping,
}

impl Verdicts {
    /// None yet.
    pub fn new(keeping: Keeping) -> Self {
        let weigh = |_: &Key, kept: &Kept| {
            // What a verdict lists takes about as much memory as its findings, steps and warnings.
            let listed = match &*kept.answer {
                Ok(verdict) => verdict.steps.len() + verdict.findings.len() + verdict.warnings.len(),
                Err(undecided) => undecided.steps.len() + undecided.reasons.len() + undecided.warnings.len(),
            };
            u32::try_from(1024 + listed * 1024).unwrap_or(u32::MAX)
        };
        Self {
            kept: Cache::builder()
                .max_capacity(keeping.bytes)
                .weigher(weigh)
                .expire_after(Lasting(keeping))
                .build(),
            keeping,
        }
    }

    /// A verdict that still holds.
    pub async fn get(&self, key: &Key, now: Instant) -> Option<Kept> {
        if self.keeping.accept.is_zero() {
            return None;
        }
        self.kept.get(key).await.filter(|kept| kept.holds(now))
    }

    /// Keeps a verdict, if it is one to keep.
    pub async fn put(&self, key: Key, kept: &Kept) {
        if !self.keeping.accept.is_zero() && kept.is_repeatable() {
            self.kept.insert(key, kept.clone()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use linkgate_image::{Image, ManifestDigest};
    use linkgate_verifier::verdict::{self, Finding, Undecided, UndecidedTag};

    use super::*;
    use crate::gate::policy::tests::{Written, load};

    fn about(name: &str, namespace: &str, content: &[u8]) -> About {
        let digest = ManifestDigest::of(content);
        let image: Image = format!("{name}@{digest}").parse().unwrap();
        About {
            name: Some(image.name()),
            image: Some(image),
            digest,
            namespace: namespace.to_owned(),
        }
    }

    fn piece(name: &str, content: &'static [u8]) -> (Arc<Piece>, Bytes) {
        let piece = Piece {
            name: name.to_owned(),
            step: None,
            digest: ManifestDigest::of(content),
            size: content.len() as u64,
            content: None,
            at: None,
        };
        (Arc::new(piece), Bytes::from_static(content))
    }

    fn subject(name: Option<&str>, algorithm: &str, value: &str) -> Subject {
        Subject {
            name: name.map(str::to_owned),
            digests: [(algorithm.to_owned(), value.to_owned())].into(),
        }
    }

    #[test]
    fn each_input_changes_the_key() {
        let written = Written::default();
        let policy = load(&written).unwrap();
        let plain = about("r.example/app", "prod", b"image");
        let subjects = [subject(None, "sha256", "00")];
        let evidence = [piece("a.link", b"a"), piece("b.link", b"b")];
        let base = Inputs {
            component: "component",
            checker: "native",
            policy: &policy,
            about: &plain,
            subjects: &subjects,
            evidence: &evidence,
        };
        assert_eq!(base.key(), base.clone().key());
        let mut keys = vec![("nothing", base.key())];
        let mut other = |what, inputs: Inputs<'_>| keys.push((what, inputs.key()));

        other(
            "component",
            Inputs {
                component: "other",
                ..base.clone()
            },
        );
        other(
            "checker",
            Inputs {
                checker: "tokens",
                ..base.clone()
            },
        );
        for (what, changed) in [
            ("name", about("r.example/other", "prod", b"image")),
            ("namespace", about("r.example/app", "test", b"image")),
            ("digest", about("r.example/app", "prod", b"other")),
            (
                "kind",
                About {
                    image: None,
                    ..plain.clone()
                },
            ),
        ] {
            other(
                what,
                Inputs {
                    about: &changed,
                    ..base.clone()
                },
            );
        }
        for (what, changed) in [
            ("no subject", vec![]),
            ("subject's name", vec![subject(Some(""), "sha256", "00")]),
            ("subject's other name", vec![subject(Some("a"), "sha256", "00")]),
            ("subject's algorithm", vec![subject(None, "sha512", "00")]),
            ("subject's value", vec![subject(None, "sha256", "01")]),
            (
                "a subject more",
                [subjects.to_vec(), vec![subject(None, "sha256", "02")]].concat(),
            ),
        ] {
            other(
                what,
                Inputs {
                    subjects: &changed,
                    ..base.clone()
                },
            );
        }
        for (what, changed) in [
            ("no link", vec![]),
            ("a link less", vec![piece("a.link", b"a")]),
            ("a link's name", vec![piece("a.link", b"a"), piece("c.link", b"b")]),
            ("a link's bytes", vec![piece("a.link", b"a"), piece("b.link", b"c")]),
            ("links exchanged", vec![piece("a.link", b"b"), piece("b.link", b"a")]),
        ] {
            other(
                what,
                Inputs {
                    evidence: &changed,
                    ..base.clone()
                },
            );
        }
        for (what, changed) in written.each_changed() {
            let changed = load(&changed).unwrap_or_else(|error| panic!("{what}: {error}"));
            other(
                what,
                Inputs {
                    policy: &changed,
                    ..base.clone()
                },
            );
        }
        let different: BTreeSet<Key> = keys.iter().map(|(_, key)| *key).collect();
        for (at, (what, key)) in keys.iter().enumerate() {
            assert!(!keys[..at].iter().any(|(_, before)| before == key), "{what}");
        }
        assert_eq!(different.len(), keys.len());
    }

    fn kept(answer: Answer, judged: i64) -> Kept {
        Kept {
            sha256: verdict::to_json(&answer),
            answer: Arc::new(answer),
            judged: Instant(judged),
        }
    }

    fn undecided(code: Code) -> Answer {
        Err(Box::new(Undecided {
            decision: UndecidedTag::Undecided,
            code,
            at: Vec::new(),
            limit: None,
            message: String::new(),
            reasons: vec![Finding::new(code, &[], String::new())],
            warnings: Vec::new(),
            steps: Vec::new(),
        }))
    }

    #[tokio::test]
    async fn no_verdict_outlives_itself() {
        let verdicts = Verdicts::new(Keeping {
            accept: Duration::from_mins(1),
            negative: Duration::from_mins(1),
            bytes: 1 << 20,
        });
        let policy = load(&Written::default()).unwrap();
        let request = policy
            .request(&about("r.example/app", "prod", b"image"), Vec::new(), Instant(1_000))
            .unwrap();
        let verifier = crate::gate::policy::tests::verifier();
        let answer = verifier.verify(&request, &crate::runtime::Arithmetic::Native).answer;
        let end = answer.as_ref().unwrap().valid_until.unwrap();
        verdicts.put([0; 32], &kept(answer, 1_000)).await;
        assert!(verdicts.get(&[0; 32], Instant(1_000)).await.is_some());
        assert!(verdicts.get(&[0; 32], Instant(end - 1)).await.is_some());
        assert!(verdicts.get(&[0; 32], Instant(end)).await.is_none());
        // A clock that was set back.
        assert!(verdicts.get(&[0; 32], Instant(999)).await.is_none());
        assert!(verdicts.get(&[1; 32], Instant(1_000)).await.is_none());
    }

    #[tokio::test]
    async fn what_depends_on_the_moment_is_not_kept() {
        let keeping = Keeping {
            accept: Duration::from_mins(1),
            negative: Duration::from_mins(1),
            bytes: 1 << 20,
        };
        let verdicts = Verdicts::new(keeping);
        for (at, (code, is_kept)) in [
            (Code::SignatureUnchecked, false),
            (Code::VerifierStopped, false),
            (Code::LimitExceeded, true),
        ]
        .into_iter()
        .enumerate()
        {
            let key = [u8::try_from(at).unwrap(); 32];
            verdicts.put(key, &kept(undecided(code), 0)).await;
            assert_eq!(verdicts.get(&key, Instant(0)).await.is_some(), is_kept, "{code:?}");
        }
        let off = Verdicts::new(Keeping {
            accept: Duration::ZERO,
            ..keeping
        });
        off.put([0; 32], &kept(undecided(Code::LimitExceeded), 0)).await;
        assert!(off.get(&[0; 32], Instant(0)).await.is_none());
    }
}
