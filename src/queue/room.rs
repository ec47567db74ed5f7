//! The memory of a burst, given back once the burst is over.

use std::collections::VecDeque;

/// Lets go of half of the room in `queue` if nearly all of it is empty.
pub(super) fn give_back<T>(queue: &mut VecDeque<T>) {
    if is_much(queue.len(), queue.capacity()) {
        queue.shrink_to(queue.capacity() / 2);
    }
}

/// Whether so little is left of so much that it is worth the move.
pub(super) fn is_much(len: usize, capacity: usize) -> bool {
    capacity > 1024 && len < capacity / 8
}
