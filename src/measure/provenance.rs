//! What was measured and by which commands: enough to repeat it.

use super::report::Measures;
use super::unikernel::Unikernel;
use crate::error::Error;
use crate::pipeline::Lupine;
use crate::vmm;

impl Measures {
    /// Notes what is measured and how it is started; the names of both end in `suffix`.
    ///
    /// # Errors
    /// A file cannot be read, no accelerator is there, or the VMM cannot run such a machine.
    pub(super) fn trace_to(
        &mut self,
        lupine: &Lupine,
        unikernel: &Unikernel,
        suffix: &str,
    ) -> Result<(), Error> {
        for (what, digest) in unikernel.digests()? {
            let text = digest.as_str().to_owned();
            self.digests.insert(format!("{what}{suffix}"), text);
        }
        let accel = lupine.choose_accelerator()?.accel;
        let command = vmm::command(&unikernel.machine(lupine)?, accel)?;
        self.commands.insert(format!("boot{suffix}"), command);
        Ok(())
    }

    /// Notes the commands of loads, in their order.
    pub(super) fn add_loads(&mut self, commands: Vec<Vec<String>>, suffix: &str) {
        let numbered = commands.into_iter().enumerate();
        self.commands.extend(
            numbered.map(|(number, command)| (format!("load {}{suffix}", number + 1), command)),
        );
    }
}
