//! A value that is read once for all viewers, and kept for a short time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// The last value. Viewers who ask at the same time wait for one read.
pub(crate) struct Cached<T> {
    max_age: Duration,
    latest: Mutex<Option<(Instant, Arc<T>)>>,
}

impl<T> Cached<T> {
    pub(crate) fn new(max_age: Duration) -> Self {
        Self { max_age, latest: Mutex::new(None) }
    }

    /// Returns the last value, or reads a new one if it is too old. A failed read is not kept.
    pub(crate) async fn get<E>(&self, read: impl Future<Output = Result<T, E>>) -> Result<Arc<T>, E> {
        let mut latest = self.latest.lock().await;
        if let Some((at, value)) = latest.as_ref()
            && at.elapsed() < self.max_age
        {
            return Ok(Arc::clone(value));
        }
        let value = Arc::new(read.await?);
        *latest = Some((Instant::now(), Arc::clone(&value)));
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn value_is_read_again_after_its_age() {
        let cached = Cached::new(Duration::from_secs(3));
        let get = async |value: Result<u32, ()>| cached.get(async { value }).await.map(|value| *value);
        assert_eq!(get(Err(())).await, Err(()));
        assert_eq!((get(Ok(1)).await, get(Ok(2)).await), (Ok(1), Ok(1)));
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!((get(Err(())).await, get(Ok(3)).await), (Err(()), Ok(3)));
    }
}
