//! Places for turns: a limited number at once, which can be changed while they are taken.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places.
#[derive(Debug)]
pub(super) struct Slots {
    permits: Arc<Semaphore>,
    count: Mutex<usize>,
}

impl Slots {
    pub(super) fn new(count: u32) -> Self {
        let count = count as usize;
        Self { permits: Arc::new(Semaphore::new(count)), count: Mutex::new(count) }
    }

    /// Sets the number of places. Taken places beyond it are removed when they are free again. Needs a tokio runtime.
    pub(super) fn resize(&self, to: u32) {
        let to = to as usize;
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        if to > *count {
            self.permits.add_permits(to - *count);
        }
        for _ in to..*count {
            let permits = Arc::clone(&self.permits);
            tokio::spawn(async move {
                // Closed when we stop.
                if let Ok(permit) = permits.acquire_owned().await {
                    permit.forget();
                }
            });
        }
        *count = to;
    }

    /// A place, if one is free and no task waits for it.
    pub(super) fn try_take(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.permits).try_acquire_owned().ok()
    }

    /// A place, in the order of the requests. `None`: they are closed.
    pub(super) async fn take(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.permits).acquire_owned().await.ok()
    }

    /// Closes the places: none is given out any more.
    pub(super) fn close(&self) {
        self.permits.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_number_of_places_follows_the_settings_also_while_they_are_taken() {
        let slots = Slots::new(2);
        let taken = (slots.try_take().unwrap(), slots.try_take().unwrap());
        assert!(slots.try_take().is_none());
        slots.resize(3);
        let third = slots.try_take().unwrap();
        slots.resize(1);
        tokio::task::yield_now().await;
        drop(taken);
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        assert!(slots.try_take().is_none(), "the one that is left is the third");
        drop(third);
        drop(slots.take().await.unwrap());
        slots.close();
        assert!(slots.take().await.is_none());
    }
}
