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
