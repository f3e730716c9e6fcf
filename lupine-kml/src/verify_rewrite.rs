//! x
/// x
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("x")]
pub struct Mismatch;
/// x
pub fn verify(_o: Option<&[u8]>, _n: &[u8]) -> Result<(), Mismatch> {
    Ok(())
}
