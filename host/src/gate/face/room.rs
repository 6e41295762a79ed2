//! Room for the bodies of requests and answers: what all of them together may take, whoever sends and reads them.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::BoxError;
use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::response::Response;
use http_body::{Frame, SizeHint};
use tokio::task::AbortHandle;

use crate::memory::{Lease, Memory, NoRoom};

/// What a body has until it has sent more.
const START: u64 = 8 << 10;
/// A body takes room for itself, and for the buffer that it is gathered in.
const GATHERED: u64 = 2;
/// What a value of a JSON text takes at most beside the text itself: an entry of a map.
const VALUE: u64 = 80;
/// Answers that are not counted: those to probes, and refusals.
const UNCOUNTED: u64 = 1 << 10;
/// How long an answer is kept for whoever asked to read it.
const SENDING: Duration = Duration::from_secs(30);
/// How much of an answer is given to a connection at once. That much stays with it, however long it takes to be read.
const PART: usize = 32 << 10;

/// Room for bodies: three quarters of the memory for what others send for those of requests, and a quarter for answers, that are
/// not read yet.
#[derive(Clone, Debug)]
pub struct Room {
    requests: Memory,
    answers: Memory,
    sending: Duration,
}

/// What a request takes up until it is answered.
#[derive(Clone)]
pub(super) struct Taken(Arc<Mutex<Lease>>);

/// How a JSON text is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// What is of interest is copied out of it as it is written.
    Parts,
    /// All of its values are built.
    Values,
}

impl Taken {
    /// Takes room for the values of a text.
    pub(super) fn read(&self, text: &[u8], reading: Reading) -> Result<(), NoRoom> {
        let length = text.len() as u64;
        let mut lease = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What it was gathered in has just its size by then.
        lease.shrink_to(length.max(START));
        lease.grow(match reading {
            Reading::Parts => length,
            // Texts that stand for other bytes are there twice.
            Reading::Values => 2 * length + VALUE * values(text),
        })
    }

    fn grow(&self, more: u64) -> Result<(), NoRoom> {
        let mut lease = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lease.grow(more)
    }
}

/// How many members and elements a JSON text has at most.
fn values(text: &[u8]) -> u64 {
    let (mut count, mut is_string, mut is_escaped) = (0, false, false);
    for byte in text {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = is_string,
            b'"' => is_string = !is_string,
            b',' | b':' | b'[' | b'{' if !is_string => count += 1,
            _ => {}
        }
    }
    count
}

/// The lack of room for which a body ended, if it was that.
pub(super) fn no_room(error: &axum::Error) -> Option<NoRoom> {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(no_room) = error.downcast_ref() {
            return Some(*no_room);
        }
        cause = error.source();
    }
    None
}

impl Room {
    /// Room in this memory.
    pub fn new(memory: &Memory) -> Self {
        let quarter = memory.bound() / 4;
        Self {
            requests: memory.part(memory.bound() - quarter),
            answers: memory.part(quarter),
            sending: SENDING,
        }
    }

    /// Makes room for a body, as it comes: what it says that it will have costs nobody else anything.
    pub(super) fn take(&self, body: Body) -> Result<(Body, Taken), NoRoom> {
        let begins = GATHERED * body.size_hint().exact().unwrap_or(START).min(START);
        let taken = Taken(Arc::new(Mutex::new(self.requests.take(begins)?)));
        let metered = Metered {
            body,
            taken: taken.clone(),
            left: begins,
        };
        Ok((Body::new(metered), taken))
    }

    /// An answer that takes room until it was sent. Of one that is not read in time, the rest is dropped.
    pub(super) async fn answered(&self, response: Response) -> Result<Response, NoRoom> {
        let (head, body) = response.into_parts();
        let Some(length) = body.size_hint().exact().filter(|length| *length > UNCOUNTED) else {
            return Ok(Response::from_parts(head, body));
        };
        let lease = self.answers.take(length)?;
        // It is one piece, and is here.
        let bytes = to_bytes(body, usize::MAX).await.unwrap_or_default();
        let body = Sending::new(lease.hold(bytes), self.sending);
        Ok(Response::from_parts(head, Body::new(body)))
    }
}

/// An answer that is given away in parts, until its time is over.
struct Sending {
    left: Arc<Mutex<Option<Bytes>>>,
    timer: AbortHandle,
}

impl Sending {
    fn new(bytes: Bytes, lasts: Duration) -> Self {
        let left = Arc::new(Mutex::new(Some(bytes)));
        let dropped = Arc::clone(&left);
        // Nobody asks a body for more while nothing of it is read: its time ends all the same.
        let timer = tokio::spawn(async move {
            tokio::time::sleep(lasts).await;
            drop(dropped.lock().unwrap_or_else(PoisonError::into_inner).take());
        });
        Self {
            left,
            timer: timer.abort_handle(),
        }
    }

    fn left(&self) -> MutexGuard<'_, Option<Bytes>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.timer.abort();
    }
}

impl HttpBody for Sending {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut left = self.left();
        let Some(bytes) = left.as_mut() else {
            return Poll::Ready(Some(Err("the answer was not read in time".into())));
        };
        if bytes.is_empty() {
            return Poll::Ready(None);
        }
        // A copy, so that it holds nothing of the rest.
        let part = bytes.split_to(PART.min(bytes.len()));
        Poll::Ready(Some(Ok(Frame::data(Bytes::copy_from_slice(&part)))))
    }

    fn is_end_stream(&self) -> bool {
        self.left().as_ref().is_some_and(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        let left = self.left();
        // Of what was dropped nothing is left to be sent, which is not to be taken for an answer that has nothing.
        left.as_ref()
            .map_or_else(SizeHint::default, |bytes| SizeHint::with_exact(bytes.len() as u64))
    }
}

/// A body that takes more room as it comes.
struct Metered {
    body: Body,
    taken: Taken,
    /// Bytes for which there is room.
    left: u64,
}

impl Metered {
    fn pay(&mut self, bytes: u64) -> Result<(), NoRoom> {
        let bytes = GATHERED * bytes;
        if bytes > self.left {
            let more = (bytes - self.left).max(START);
            self.taken.grow(more)?;
            self.left += more;
        }
        self.left -= bytes;
        Ok(())
    }
}

impl HttpBody for Metered {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        polled.map(|frame| {
            frame.map(|frame| {
                let frame = frame?;
                let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
                self.pay(bytes)?;
                Ok(frame)
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use futures_util::stream;

    use http_body_util::BodyExt as _;

    use super::*;

    const MIB: u64 = 1 << 20;

    /// A body that does not say how long it is.
    fn chunked(chunks: usize) -> Body {
        let chunk = Bytes::from(vec![0; 32 << 10]);
        Body::from_stream(stream::iter((0..chunks).map(move |_| Ok::<_, BoxError>(chunk.clone()))))
    }

    #[tokio::test]
    async fn room_is_taken_as_bodies_come_and_given_back() {
        let memory = Memory::new(64 * MIB);
        let room = Room::new(&memory);
        let (body, taken) = room.take(chunked(10)).unwrap();
        assert_eq!(memory.used(), 2 * START);
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        assert_eq!(memory.used(), 2 * (320 << 10));
        taken.read(&bytes, Reading::Parts).unwrap();
        assert_eq!(memory.used(), 2 * (320 << 10));
        drop(taken);
        assert_eq!(memory.used(), 0);
        let (_small, _taken) = room.take(Body::from(vec![0; 1 << 10])).unwrap();
        assert_eq!(memory.used(), 2 << 10);
        let (_large, _taken) = room.take(Body::from(vec![0; 1 << 20])).unwrap();
        assert_eq!(memory.used(), (2 << 10) + 2 * START);
    }

    #[tokio::test]
    async fn what_has_no_room_ends() {
        let room = Room::new(&Memory::new(MIB));
        let (body, _taken) = room.take(chunked(15)).unwrap();
        let error = to_bytes(body, usize::MAX).await.unwrap_err();
        assert!(no_room(&error).is_some(), "{error:?}");
        let (_other, _taken) = room.take(Body::empty()).unwrap();
    }

    #[test]
    fn values_are_counted_where_they_are_built() {
        for (text, count) in [
            (r#""a,b:[{\",""#, 0),
            ("[]", 1),
            ("[1,2]", 2),
            (r#"{"a":{"b":""},"\\":1}"#, 6),
        ] {
            assert_eq!(values(text.as_bytes()), count, "{text}");
        }
        let room = Room::new(&Memory::new(64 * MIB));
        let (_, taken) = room.take(Body::empty()).unwrap();
        let many = "[".repeat(1 << 20);
        assert!(taken.read(many.as_bytes(), Reading::Values).is_err());
        assert!(taken.read(many.as_bytes(), Reading::Parts).is_ok());
    }

    #[tokio::test]
    async fn an_answer_takes_room_until_it_was_sent() {
        let memory = Memory::new(64 * MIB);
        let room = Room::new(&memory);
        let answer = |length: usize| room.answered(Response::new(Body::from(vec![0; length])));
        let small = answer(100).await.unwrap();
        assert_eq!(memory.used(), 0);
        let large = answer(1 << 20).await.unwrap();
        assert_eq!(memory.used(), MIB);
        let sent = to_bytes(large.into_body(), usize::MAX).await.unwrap();
        assert_eq!((sent.len(), memory.used()), (1 << 20, 0));
        drop((sent, small));
        assert_eq!(memory.used(), 0);
        let mut held = Vec::new();
        while let Ok(large) = answer(1 << 20).await {
            held.push(large);
        }
        assert_eq!(memory.used(), 14 * MIB);
    }

    #[tokio::test]
    async fn what_is_not_read_in_time_is_dropped() {
        let memory = Memory::new(64 * MIB);
        let room = Room {
            sending: Duration::from_millis(5),
            ..Room::new(&memory)
        };
        let response = room
            .answered(Response::new(Body::from(vec![0; 1 << 20])))
            .await
            .unwrap();
        let mut body = response.into_body();
        assert_eq!(body.size_hint().exact(), Some(MIB));
        let part = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(part.len(), PART);
        while memory.used() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(!body.is_end_stream());
        assert!(body.frame().await.unwrap().is_err());
    }
}
