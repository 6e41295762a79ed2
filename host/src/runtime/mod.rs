//! The embedded component and how it is run: a fresh instance for each question, bounded in memory and time.
//!
//! The component was precompiled when the host was built; this wasmtime has no compiler. A trap, a memory limit or a
//! deadline is an undecided answer, never a crash and never an accept.

mod answer;
mod image;
mod question;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use linkgate_verifier::plan::Requirements;
use linkgate_verifier::request::Request;
use linkgate_verifier::signature::Outcome;
use linkgate_verifier::verdict::{Answer, Code, Finding, Undecided, UndecidedTag};
use wasmtime::component::{HasSelf, Linker};
use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, ResourceLimiter, Store, UpdateDeadline,
};

use crate::checker::Native;
use crate::evidence::SharedDocument;
use crate::signer::pkcs11::TokenChecker;
use image::Image;

mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "verifier",
        ownership: Borrowing { duplicate_if_necessary: true },
    });
}

use bindings::linkgate::verifier::signatures;

/// The component as any host can load it.
pub const COMPONENT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/verifier.wasm"));

/// What is wrong with an answer that does not convert: host and component were not built together.
const UNKNOWN_CODE: &str = "it answered with a code that this host does not know";

/// How often the clock of deadlines ticks.
const TICK: Duration = Duration::from_millis(20);

/// Bytes of a pooled memory that stay with it between questions.
const KEPT: usize = 4 << 20;

/// The bounds of one question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of the component's memory.
    pub memory: usize,
    /// How long it may compute.
    pub deadline: Duration,
}

impl Default for Bounds {
    /// 256 MiB hold whatever the verifier's own limits admit. The costliest takes 5 s on a machine of 2026; slower ones have
    /// six times that.
    fn default() -> Self {
        Self {
            memory: 256 << 20,
            deadline: Duration::from_secs(30),
        }
    }
}

/// Who does the arithmetic of signatures.
#[derive(Clone)]
pub enum Arithmetic {
    /// Native code, where its accepted set is the verifier's own.
    Native,
    /// The component alone.
    Pure,
    /// Hardware tokens for their own keys, native code for all others.
    Tokens(Arc<TokenChecker>),
}

impl fmt::Debug for Arithmetic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Native => "Native",
            Self::Pure => "Pure",
            Self::Tokens(_) => "Tokens",
        })
    }
}

/// An answer, and what the host knows about how it came to be.
#[derive(Clone, Debug)]
pub struct Judged<A> {
    /// The component's answer.
    pub answer: A,
    /// The signatures that the component asked about, in order.
    pub checks: Vec<Check>,
    /// Bytes of memory that the component took.
    pub memory: usize,
    /// Whether it wanted more memory than it was given, and may have been stopped for that.
    pub wanted_memory: bool,
}

/// A signature that the component asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Its scheme, as in-toto names it.
    pub scheme: String,
    /// The key's `SubjectPublicKeyInfo`.
    pub spki: Vec<u8>,
    /// Who judged it.
    pub by: By,
}

/// Who judged a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// The component itself.
    Component,
    /// This program's native code.
    Host,
    /// A token, which is called so.
    Token(String),
}

/// Why the component cannot be run at all.
#[derive(Debug, thiserror::Error)]
#[error("the embedded verifier cannot be loaded: {0}")]
pub struct LoadError(String);

/// The verifier, ready to be asked.
pub struct Verifier {
    engine: Engine,
    instances: bindings::VerifierPre<State>,
    bounds: Bounds,
    /// Ends the clock of deadlines when the last user is gone.
    _clock: Arc<()>,
}

impl Verifier {
    /// Loads the embedded component, for at most `instances` questions at once: beyond one, their memories are pooled.
    pub fn load(bounds: Bounds, instances: u32) -> Result<Self, LoadError> {
        let failed = |error: wasmtime::Error| LoadError(format!("{error:#}"));
        let image = Image::take();
        let engine = Engine::new(&config(bounds, instances, image)).map_err(failed)?;
        let component = image.load(&engine).map_err(failed)?;
        let mut linker = Linker::new(&engine);
        bindings::Verifier::add_to_linker::<_, HasSelf<_>>(&mut linker, |state: &mut State| state).map_err(failed)?;
        let instances = linker
            .instantiate_pre(&component)
            .and_then(bindings::VerifierPre::new)
            .map_err(failed)?;
        Ok(Self {
            _clock: start_clock(&engine),
            engine,
            instances,
            bounds,
        })
    }

    /// What the component imports, and what it exports.
    pub fn interface(&self) -> (Vec<String>, Vec<String>) {
        let interface = self.instances.instance_pre().component().component_type();
        let imports = interface
            .imports(&self.engine)
            .map(|(name, _)| name.to_owned())
            .collect();
        let exports = interface
            .exports(&self.engine)
            .map(|(name, _)| name.to_owned())
            .collect();
        (imports, exports)
    }

    /// The bounds of one question.
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Judges a request.
    pub fn verify(&self, request: &Request, arithmetic: &Arithmetic) -> Judged<Answer> {
        self.verify_within(request, &[], arithmetic, self.bounds.memory)
    }

    /// Judges a request with these documents beside its own, in so many bytes of memory, or as many as the bounds have if that
    /// is less.
    pub fn verify_within(
        &self,
        request: &Request,
        documents: &[SharedDocument],
        arithmetic: &Arithmetic,
        memory: usize,
    ) -> Judged<Answer> {
        question::with(request, documents, |request| {
            self.ask(
                arithmetic,
                memory.min(self.bounds.memory),
                |verifier, store| verifier.linkgate_verifier_verification().call_verify(store, request),
                answer::verdict,
            )
        })
    }

    /// Says what a verification of this request will need.
    pub fn plan(&self, request: &Request, arithmetic: &Arithmetic) -> Judged<Result<Requirements, Box<Undecided>>> {
        question::with(request, &[], |request| {
            self.ask(
                arithmetic,
                self.bounds.memory,
                |verifier, store| verifier.linkgate_verifier_verification().call_plan(store, request),
                |requirements| Some(answer::requirements(requirements)),
            )
        })
    }

    fn ask<W, A>(
        &self,
        arithmetic: &Arithmetic,
        memory: usize,
        call: impl FnOnce(&bindings::Verifier, &mut Store<State>) -> wasmtime::Result<Result<W, answer::WitError>>,
        convert: impl FnOnce(W) -> Option<A>,
    ) -> Judged<Result<A, Box<Undecided>>> {
        let mut store = Store::new(&self.engine, State::new(arithmetic.clone(), memory));
        store.limiter(|state| &mut state.limits);
        let ticks = self.bounds.deadline.as_millis().div_ceil(TICK.as_millis());
        // The first tick may come at once.
        store.set_epoch_deadline(u64::try_from(ticks).unwrap_or(u64::MAX).saturating_add(1));
        if matches!(arithmetic, Arithmetic::Tokens(_)) {
            // The deadline bounds what the component computes. While it waits for a token, it does not.
            store.epoch_deadline_callback(|mut store| {
                let waited = std::mem::take(&mut store.data_mut().waited);
                let ticks = u64::try_from(waited.as_millis() / TICK.as_millis()).unwrap_or(u64::MAX);
                Ok(if ticks == 0 {
                    UpdateDeadline::Interrupt
                } else {
                    UpdateDeadline::Continue(ticks)
                })
            });
        }
        let called = self
            .instances
            .instantiate(&mut store)
            .and_then(|verifier| call(&verifier, &mut store));
        let answer = match called {
            Ok(Ok(answer)) => convert(answer).ok_or_else(|| stopped(UNKNOWN_CODE)),
            Ok(Err(error)) => Err(match answer::undecided(error) {
                Some(undecided) => Box::new(undecided),
                None => stopped(UNKNOWN_CODE),
            }),
            Err(error) => Err(stopped(&self.cause(&error, memory))),
        };
        let state = store.into_data();
        Judged {
            answer,
            checks: state.checks,
            memory: state.limits.taken,
            wanted_memory: state.limits.refused,
        }
    }

    /// Why a call did not return, in words.
    fn cause(&self, error: &wasmtime::Error, memory: usize) -> String {
        match error.downcast_ref::<wasmtime::Trap>() {
            Some(wasmtime::Trap::Interrupt) => {
                format!("it did not end within {} s", self.bounds.deadline.as_secs_f32())
            }
            _ => format!("{:#}, with at most {} MiB of memory", error.root_cause(), memory >> 20),
        }
    }
}

/// The answer where there is none.
fn stopped(why: &str) -> Box<Undecided> {
    let message = format!("the verifier was stopped: {why}");
    Box::new(Undecided {
        decision: UndecidedTag::Undecided,
        code: Code::VerifierStopped,
        at: Vec::new(),
        limit: None,
        reasons: vec![Finding::new(Code::VerifierStopped, &[], message.clone())],
        message,
        warnings: Vec::new(),
        steps: Vec::new(),
    })
}

fn config(bounds: Bounds, instances: u32, image: Image) -> Config {
    let mut config = Config::new();
    // A pool pays for itself where instances come and go; a single one at a time is had for less without it.
    if instances > 1 {
        config.allocation_strategy(pool(bounds, instances));
    }
    // These must be what `host/build.rs` has.
    config.epoch_interruption(true);
    config.gc_support(false);
    config.concurrency_support(false);
    // A trap has no place in a module without names: what would only describe it is left out.
    config.generate_address_map(false);
    config.native_unwind_info(false);
    config.wasm_backtrace_max_frames(None);
    image.configure(&mut config);
    config
}

fn pool(bounds: Bounds, instances: u32) -> InstanceAllocationStrategy {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(instances)
        // Beside the verifier's module, the component has small ones that tie its import to it.
        .total_core_instances(instances * 4)
        .total_memories(instances)
        .total_tables(instances * 4)
        .max_memory_size(bounds.memory)
        // Clearing what a usual question used costs less than giving it back, which every other processor is told of.
        .linear_memory_keep_resident(KEPT)
        .table_keep_resident(KEPT);
    InstanceAllocationStrategy::Pooling(pool)
}

/// Ticks for as long as somebody holds what is returned.
fn start_clock(engine: &Engine) -> Arc<()> {
    let alive = Arc::new(());
    let (watched, engine) = (Arc::downgrade(&alive), engine.weak());
    std::thread::spawn(move || {
        while watched.strong_count() > 0 {
            std::thread::sleep(TICK);
            if let Some(engine) = engine.upgrade() {
                engine.increment_epoch();
            }
        }
    });
    alive
}

/// What belongs to one question.
struct State {
    arithmetic: Arithmetic,
    limits: Limits,
    checks: Vec<Check>,
    /// How long tokens have taken since the deadline was last put off.
    waited: Duration,
}

/// The memory of one question.
struct Limits {
    most: usize,
    taken: usize,
    /// Whether it was to become larger.
    refused: bool,
}

impl ResourceLimiter for Limits {
    fn memory_growing(&mut self, _: usize, wanted: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let granted = wanted <= self.most;
        if granted {
            self.taken = self.taken.max(wanted);
        }
        self.refused |= !granted;
        Ok(granted)
    }

    fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(true)
    }
}

impl State {
    fn new(arithmetic: Arithmetic, memory: usize) -> Self {
        Self {
            arithmetic,
            limits: Limits {
                most: memory,
                taken: 0,
                refused: false,
            },
            checks: Vec::new(),
            waited: Duration::ZERO,
        }
    }
}

impl signatures::Host for State {
    fn check(
        &mut self,
        key: signatures::PublicKey,
        message: Vec<u8>,
        signature: Vec<u8>,
    ) -> Result<signatures::Outcome, String> {
        let asked = match &self.arithmetic {
            Arithmetic::Tokens(tokens) => {
                let begins = Instant::now();
                let asked = tokens.answer(&key.scheme, &key.spki, &message, &signature);
                self.waited += begins.elapsed();
                asked
            }
            Arithmetic::Native | Arithmetic::Pure => None,
        };
        let (by, answer) = match (asked, &self.arithmetic) {
            (Some((token, answer)), _) => (By::Token(token), answer),
            (None, Arithmetic::Pure) => (By::Component, Ok(Outcome::NotHandled)),
            (None, _) => {
                let outcome = Native::answer(&key.scheme, &key.spki, &message, &signature);
                (By::Host, Ok(outcome))
            }
        };
        self.checks.push(Check {
            scheme: key.scheme,
            spki: key.spki,
            by: if answer == Ok(Outcome::NotHandled) {
                By::Component
            } else {
                by
            },
        });
        answer.map(|outcome| match outcome {
            Outcome::Valid => signatures::Outcome::Valid,
            Outcome::Invalid => signatures::Outcome::Invalid,
            Outcome::NotHandled => signatures::Outcome::NotHandled,
        })
    }
}
