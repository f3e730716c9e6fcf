//! What the paper reports, to stand beside what was measured here. The data is
//! `src/data/paper.toml`.

use std::sync::LazyLock;

use serde::Deserialize;
use thiserror::Error;

use super::quantity;
use super::report::Group;
use super::sample::Unit;

/// The figures of a publication.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Paper {
    /// What holds for all figures: kernel, VMM, accelerator, year.
    pub conditions: String,
    /// Its figures.
    #[serde(rename = "figure")]
    pub figures: Vec<PaperFigure>,
}

/// A figure of a publication: a value, a ratio to another kind of kernel, or both.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PaperFigure {
    /// The table that the quantity belongs to.
    pub group: Group,
    /// The quantity, as in [`quantity`].
    pub quantity: String,
    /// What it counts. In another unit it is another quantity.
    pub unit: Unit,
    /// The kind of kernel.
    pub variant: String,
    /// The application; none where it holds for any.
    pub application: Option<String>,
    /// The value, in `unit`.
    pub value: Option<f64>,
    /// The value in the publication's words.
    pub says: Option<String>,
    /// The ratio to the same quantity of `relative_to`.
    pub ratio: Option<f64>,
    /// The kind of kernel that `ratio` is in relation to.
    pub relative_to: Option<String>,
    /// What is not as it is with us.
    pub difference: String,
}

/// Why figures of a publication cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PaperError {
    /// It is no TOML, or of another form.
    #[error("the figures of the paper cannot be read; correct the place that is named")]
    Toml(#[source] toml::de::Error),
    /// A quantity has no such name in its group.
    #[error(
        "the figures of the paper: no quantity {quantity:?} in the group {group:?}; use a name of lupine::measure::quantity"
    )]
    UnknownQuantity {
        /// The name.
        quantity: String,
        /// The group's name.
        group: &'static str,
    },
    /// A figure that says nothing, or only half of what it should.
    #[error(
        "the figures of the paper: {quantity:?} of {variant:?} needs a finite value with its words, a positive ratio with what it is relative to, or both"
    )]
    Incomplete {
        /// The quantity.
        quantity: String,
        /// The kind of kernel.
        variant: String,
    },
    /// A quantity, application and kind of kernel that come twice.
    #[error("the figures of the paper: {quantity:?} of {variant:?} is there twice; remove one")]
    Twice {
        /// The quantity.
        quantity: String,
        /// The kind of kernel.
        variant: String,
    },
}

#[allow(
    clippy::expect_used,
    reason = "the data is part of this crate and parsed by a test"
)]
static EUROSYS: LazyLock<Paper> = LazyLock::new(|| {
    Paper::parse(include_str!("../data/paper.toml")).expect("src/data/paper.toml is valid")
});

impl Paper {
    /// The figures of *A Linux in Unikernel Clothing* (EuroSys 2020).
    #[must_use]
    pub fn eurosys() -> &'static Paper {
        &EUROSYS
    }

    /// Reads figures from TOML.
    ///
    /// # Errors
    /// It is no TOML of this form, names an unknown quantity, or a figure is incomplete or there
    /// twice.
    pub fn parse(text: &str) -> Result<Paper, PaperError> {
        let paper: Paper = toml::from_str(text).map_err(PaperError::Toml)?;
        for (i, figure) in paper.figures.iter().enumerate() {
            let mut groups = quantity::ALL.iter();
            let names = groups.find(|(group, _)| *group == figure.group);
            if !names.is_some_and(|(_, names)| names.contains(&figure.quantity.as_str())) {
                return Err(PaperError::UnknownQuantity {
                    quantity: figure.quantity.clone(),
                    group: figure.group.name(),
                });
            }
            let (quantity, variant) = (figure.quantity.clone(), figure.variant.clone());
            if !figure.is_complete() {
                return Err(PaperError::Incomplete { quantity, variant });
            }
            if paper
                .figures
                .iter()
                .take(i)
                .any(|f| f.key() == figure.key())
            {
                return Err(PaperError::Twice { quantity, variant });
            }
        }
        Ok(paper)
    }

    /// The figures of a quantity for an application.
    pub fn of<'a>(
        &'a self,
        group: Group,
        quantity: &'a str,
        unit: Unit,
        application: &'a str,
    ) -> impl Iterator<Item = &'a PaperFigure> {
        self.figures.iter().filter(move |figure| {
            (figure.group, figure.quantity.as_str(), figure.unit) == (group, quantity, unit)
                && figure
                    .application
                    .as_deref()
                    .is_none_or(|name| name == application)
        })
    }

    /// A figure in relation to the same quantity of another kind of kernel, where the publication
    /// has both.
    #[must_use]
    pub fn ratio(&self, figure: &PaperFigure, to: &str) -> Option<f64> {
        if let (Some(ratio), Some(relative_to)) = (figure.ratio, &figure.relative_to)
            && relative_to == to
        {
            return Some(ratio);
        }
        let other = self.figures.iter().find(|other| {
            other.variant == to
                && (other.group, &other.quantity, other.unit)
                    == (figure.group, &figure.quantity, figure.unit)
                && (other.application == figure.application || other.application.is_none())
        });
        let other = other
            .filter(|other| other.variant != figure.variant)?
            .value?;
        Some(figure.value? / other).filter(|ratio| ratio.is_finite())
    }
}

impl PaperFigure {
    fn is_complete(&self) -> bool {
        let value = self.value.map(f64::is_finite);
        let ratio = self.ratio.map(|ratio| ratio.is_finite() && ratio > 0.0);
        value.is_some() == self.says.is_some()
            && ratio.is_some() == self.relative_to.is_some()
            && (value.is_some() || ratio.is_some())
            && value != Some(false)
            && ratio != Some(false)
    }

    fn key(&self) -> (Group, &str, Unit, &str, Option<&str>) {
        let application = self.application.as_deref();
        (
            self.group,
            &self.quantity,
            self.unit,
            &self.variant,
            application,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIGURE: &str = r#"
        conditions = "c"
        [[figure]]
        group = "size"
        quantity = "vmlinux"
        unit = "bytes"
        variant = "microvm"
        difference = "d"
    "#;

    #[test]
    fn the_papers_figures_are_what_it_says() {
        let paper = Paper::eurosys();
        let of = |group, name, unit, application, variant: &str| {
            let mut figures = paper.of(group, name, unit, application);
            figures.find(|f| f.variant == variant).unwrap()
        };
        let boot = |variant| of(Group::Boot, quantity::TO_INIT, Unit::Seconds, "x", variant);
        assert_eq!(boot("microvm").says.as_deref(), Some("56 ms"));
        // The paper's "59 % faster".
        let ratio = paper.ratio(boot("lupine-nokml"), "microvm").unwrap();
        assert!((ratio - 0.41).abs() < 0.005, "{ratio}");
        assert_eq!(paper.ratio(boot("microvm"), "microvm"), None);
        let image = of(Group::Size, quantity::VMLINUX, Unit::Bytes, "x", "lupine");
        assert_eq!(paper.ratio(image, "microvm"), Some(0.27));
        assert_eq!(paper.ratio(image, "lupine-nokml"), None);
        let memory = Unit::Mebibytes;
        let nginx = of(
            Group::Memory,
            quantity::SMALLEST_MEMORY,
            memory,
            "nginx",
            "lupine",
        );
        // The paper's "28 % lower".
        let ratio = paper.ratio(nginx, "microvm").unwrap();
        assert!((ratio - 0.72).abs() < 0.005, "{ratio}");
    }

    #[test]
    fn another_application_or_unit_is_another_quantity() {
        let paper = Paper::eurosys();
        let count = |unit, application| {
            paper
                .of(Group::Memory, quantity::SMALLEST_MEMORY, unit, application)
                .count()
        };
        assert_eq!(count(Unit::Mebibytes, "redis"), 2);
        assert_eq!(count(Unit::Mebibytes, "hello"), 0);
        assert_eq!(count(Unit::Bytes, "redis"), 0);
        let null = |unit| {
            paper
                .of(Group::Operations, quantity::NULL_CALL, unit, "x")
                .count()
        };
        assert_eq!(null(Unit::Nanoseconds), 1);
        assert_eq!(null(Unit::Instructions), 0);
    }

    #[test]
    fn every_figure_is_of_a_kind_of_kernel_that_we_build() {
        for figure in &Paper::eurosys().figures {
            for variant in [Some(&figure.variant), figure.relative_to.as_ref()] {
                let Some(variant) = variant else { continue };
                let ours = variant.parse::<crate::variant::Variant>().is_ok();
                assert!(ours || variant == "microvm", "{variant}");
            }
            assert!(!figure.difference.is_empty());
        }
    }

    #[test]
    fn half_a_figure_is_an_error() {
        for rest in [
            "",
            "value = 1",
            "says = '1'",
            "ratio = 0.5",
            "relative-to = 'microvm'",
            "value = inf\nsays = 'much'",
            "ratio = 0.0\nrelative-to = 'microvm'",
        ] {
            let error = Paper::parse(&format!("{FIGURE}{rest}")).unwrap_err();
            assert!(
                matches!(error, PaperError::Incomplete { .. }),
                "{rest}: {error}"
            );
        }
        Paper::parse(&format!("{FIGURE}value = 1\nsays = '1'")).unwrap();
    }

    #[test]
    fn unknown_quantities_and_repetitions_are_errors() {
        let text = format!("{FIGURE}value = 1\nsays = '1'");
        let unknown = Paper::parse(&text.replace("vmlinux", "vmlinuz")).unwrap_err();
        assert!(
            unknown
                .to_string()
                .contains("\"vmlinuz\" in the group \"size\""),
            "{unknown}"
        );
        let figure = text.split_once("[[").unwrap().1;
        let twice = Paper::parse(&format!("{text}\n[[{figure}")).unwrap_err();
        assert!(matches!(twice, PaperError::Twice { .. }), "{twice}");
        assert!(matches!(
            Paper::parse("figure = 1"),
            Err(PaperError::Toml(_))
        ));
    }
}
