use std::cell::RefCell;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use ring::rand::{SecureRandom, SystemRandom};

/// The system has no random numbers to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system has no random numbers to give")]
pub struct NoRandomNumbers;

/// Random bytes from the system: for keys, nonces and ids.
///
/// # Errors
/// [`NoRandomNumbers`]
///
/// ```
/// assert_ne!(envgate::text::random_bytes::<16>(), envgate::text::random_bytes::<16>());
/// ```
pub fn random_bytes<const LENGTH: usize>() -> Result<[u8; LENGTH], NoRandomNumbers> {
    let mut bytes = [0; LENGTH];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| NoRandomNumbers)?;
    Ok(bytes)
}

thread_local! {
    static GENERATOR: RefCell<Option<StdRng>> = const { RefCell::new(None) };
}

/// Random bits for a name that nothing else has, such as a request's. They come from a generator of the thread's own,
/// which the system has seeded: to ask the system for each would be a system call. No secret is made of them.
///
/// # Errors
/// [`NoRandomNumbers`]
///
/// ```
/// assert_ne!(envgate::text::unique_bits(), envgate::text::unique_bits());
/// ```
pub fn unique_bits() -> Result<u128, NoRandomNumbers> {
    GENERATOR.with_borrow_mut(|generator| {
        if let Some(generator) = generator {
            return Ok(generator.random());
        }
        let mut seeded = StdRng::from_seed(random_bytes()?);
        let bits = seeded.random();
        *generator = Some(seeded);
        Ok(bits)
    })
}

/// 22 random characters of base 58, a little more than 128 bits, as ids of this API end.
///
/// # Errors
/// [`NoRandomNumbers`]
///
/// ```
/// assert_eq!(envgate::text::random_base58().unwrap().len(), 22);
/// ```
pub fn random_base58() -> Result<String, NoRandomNumbers> {
    const LENGTH: usize = 22;
    // 32 bytes have at least 32 characters, so there are always enough. The first of them are not evenly
    // distributed, the last 22 are.
    let text = bs58::encode(random_bytes::<32>()?).into_string();
    Ok(text.chars().rev().take(LENGTH).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::thread;

    use super::*;

    #[test]
    fn no_two_threads_give_the_same_bits() {
        let some = || (0..1000).map(|_| unique_bits().unwrap()).collect::<Vec<_>>();
        let threads: Vec<_> = (0..8).map(|_| thread::spawn(some)).collect();
        let all = threads.into_iter().flat_map(|thread| thread.join().unwrap());
        assert_eq!(all.collect::<HashSet<_>>().len(), 8000);
    }
}
