//! tmp
#![allow(missing_docs)]
use serde::Serialize;
use crate::variant::Variant;
#[derive(Debug, thiserror::Error)] #[error("x")] pub struct ConfigError;
#[derive(Debug, Serialize)] pub struct SpecialisedConfig { pub text: Vec<u8>, pub reasons: Vec<String>, pub variant: Variant, pub set: usize, pub set_with_prompt: usize }
impl SpecialisedConfig { pub fn reasons_text(&self)->String{String::new()} }
pub fn specialise(_: &crate::kernel::source::KernelSource, _:&crate::kernel::toolchain::Toolchain, _: &crate::needs::Needs, variant: Variant, _: &crate::cache::Cache, _: &crate::process::Cancel)->Result<SpecialisedConfig, ConfigError> { Ok(SpecialisedConfig{ text: std::fs::read("/tmp/dev.config").unwrap(), reasons: vec![], variant, set:0, set_with_prompt:0 }) }
