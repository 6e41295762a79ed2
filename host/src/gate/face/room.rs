//! Room for the bodies of requests: what all of them together may take, whoever sends them.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::BoxError;
use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Room for all bodies under way together, in KiB.
const BODIES: usize = 256 << 10;
/// What a body has until it has sent more.
const START: u64 = 64 << 10;

/// Room for bodies.
#[derive(Clone, Debug)]
pub struct Room(Arc<Semaphore>);

/// There is no more room.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("there is no room for this body now")]
pub(super) struct NoRoom;

/// Whether a body ended because there was no room for more of it.
pub(super) fn is_no_room(error: &axum::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if error.is::<NoRoom>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// What a body takes up, until its request is answered.
type Taken = Arc<Mutex<OwnedSemaphorePermit>>;

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(BODIES)))
    }
}

impl Room {
    /// Makes room for a body, as it comes: what it says that it will have costs nobody else anything.
    pub(super) fn take(&self, body: Body) -> Result<(Body, Taken), NoRoom> {
        let begins = body.size_hint().exact().unwrap_or(START).min(START);
        let taken = Arc::clone(&self.0)
            .try_acquire_many_owned(kib(begins))
            .map_err(|_| NoRoom)?;
        let taken = Arc::new(Mutex::new(taken));
        let metered = Metered {
            body,
            room: Arc::clone(&self.0),
            taken: Arc::clone(&taken),
            left: begins,
        };
        Ok((Body::new(metered), taken))
    }
}

fn kib(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX)
}

/// A body that takes more room as it comes.
struct Metered {
    body: Body,
    room: Arc<Semaphore>,
    taken: Taken,
    /// Bytes for which there is room.
    left: u64,
}

impl Metered {
    fn pay(&mut self, bytes: u64) -> Result<(), NoRoom> {
        if bytes > self.left {
            let more = (bytes - self.left).max(START);
            let permit = Arc::clone(&self.room)
                .try_acquire_many_owned(kib(more))
                .map_err(|_| NoRoom)?;
            self.taken.lock().unwrap_or_else(PoisonError::into_inner).merge(permit);
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

    use super::*;

    /// A body that does not say how long it is.
    fn chunked(chunks: usize) -> Body {
        let chunk = Bytes::from(vec![0; 32 << 10]);
        Body::from_stream(stream::iter((0..chunks).map(move |_| Ok::<_, BoxError>(chunk.clone()))))
    }

    #[tokio::test]
    async fn room_is_taken_as_bodies_come_and_given_back() {
        let room = Room::default();
        let (body, taken) = room.take(chunked(10)).unwrap();
        assert_eq!(room.0.available_permits(), BODIES - 64);
        to_bytes(body, usize::MAX).await.unwrap();
        assert_eq!(room.0.available_permits(), BODIES - 320);
        drop(taken);
        assert_eq!(room.0.available_permits(), BODIES);
        let (_small, _taken) = room.take(Body::from(vec![0; 10 << 10])).unwrap();
        assert_eq!(room.0.available_permits(), BODIES - 10);
        let (_large, _taken) = room.take(Body::from(vec![0; 1 << 20])).unwrap();
        assert_eq!(room.0.available_permits(), BODIES - 74);
    }

    #[tokio::test]
    async fn what_has_no_room_ends() {
        let room = Room(Arc::new(Semaphore::new(128)));
        let (body, _taken) = room.take(chunked(10)).unwrap();
        let error = to_bytes(body, usize::MAX).await.unwrap_err();
        assert!(is_no_room(&error), "{error:?}");
        let (_other, _taken) = room.take(Body::empty()).unwrap();
        assert!(room.take(chunked(1)).is_err());
    }
}
