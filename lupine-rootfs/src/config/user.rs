//! Users and groups of an image, by its own `/etc/passwd` and `/etc/group`.
//!
//! The rules are those of container runtimes (`GetExecUser` of moby/sys/user): a number is always
//! an id, even where a user has it as a name; a name must be in the files; the groups of the files
//! count only when none is named.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::config::ByteString;

/// A user with everything the kernel wants to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolvedUser {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Supplementary group ids, ascending, each once.
    pub groups: Vec<u32>,
    /// Home directory; `/` where the files know none.
    pub home: ByteString,
    /// Name; empty where the files know none.
    pub name: ByteString,
}

/// Why a user cannot be resolved.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UserError {
    /// No such user name.
    #[error("the image's /etc/passwd has no user `{name}`: name one it has, or give a number")]
    NoSuchUser {
        /// The name.
        name: ByteString,
    },
    /// No such group name.
    #[error("the image's /etc/group has no group `{name}`: name one it has, or give a number")]
    NoSuchGroup {
        /// The name.
        name: ByteString,
    },
    /// An id beyond what Linux tools accept (2^31 - 1).
    #[error("`{id}` is beyond the largest user or group id, 2147483647")]
    IdRange {
        /// The id.
        id: ByteString,
    },
}

/// Largest id accepted, as in container runtimes.
const MAX_ID: u64 = i32::MAX as u64;

impl ResolvedUser {
    /// Resolves `user` (`name`, `uid`, `name:group`, `uid:gid`, any mix; empty for root), and
    /// further groups by name or number. `passwd` and `group` are the contents of the image's
    /// files, empty where it has none; malformed lines are skipped.
    ///
    /// # Errors
    /// [`UserError`] for names the files do not have and numbers that are no ids.
    pub fn resolve(
        user: &[u8],
        groups: &[ByteString],
        passwd: &[u8],
        group: &[u8],
    ) -> Result<Self, UserError> {
        let (user, named_group) = match user.iter().position(|&byte| byte == b':') {
            Some(colon) => (&user[..colon], &user[colon + 1..]),
            None => (user, &[][..]),
        };
        let wanted = if user.is_empty() { Some(0) } else { id(user)? };
        let entry = lines(passwd)
            .filter_map(Account::parse)
            .find(|account| wanted.map_or(account.name == user, |uid| account.uid == uid));
        let mut resolved = match (entry, wanted) {
            (Some(account), _) => Self {
                uid: account.uid,
                gid: account.gid,
                groups: Vec::new(),
                home: account.home.into(),
                name: account.name.into(),
            },
            (None, Some(uid)) => Self {
                uid,
                gid: 0,
                groups: Vec::new(),
                home: ByteString::default(),
                name: ByteString::default(),
            },
            (None, None) => return Err(UserError::NoSuchUser { name: user.into() }),
        };
        if resolved.home.is_empty() {
            resolved.home = "/".into();
        }
        if !named_group.is_empty() {
            resolved.gid = group_id(named_group, group)?;
        } else if !resolved.name.is_empty() {
            let member = |found: &Group<'_>| {
                let mut members = found.members.split(|&byte| byte == b',');
                members.any(|name| name == &*resolved.name)
            };
            let found = lines(group).filter_map(Group::parse).filter(member);
            resolved.groups = found.map(|found| found.gid).collect();
        }
        for name in groups {
            resolved.groups.push(group_id(name, group)?);
        }
        resolved.groups.sort_unstable();
        resolved.groups.dedup();
        Ok(resolved)
    }
}

struct Account<'a> {
    name: &'a [u8],
    uid: u32,
    gid: u32,
    home: &'a [u8],
}

impl<'a> Account<'a> {
    /// `name:password:uid:gid:gecos:home:shell`
    fn parse(line: &'a [u8]) -> Option<Self> {
        let mut fields = line.split(|&byte| byte == b':');
        let name = fields.next()?;
        let uid = id(fields.nth(1)?).ok()??;
        let gid = id(fields.next()?).ok()??;
        let home = fields.nth(1).unwrap_or_default();
        (!name.is_empty()).then_some(Self {
            name,
            uid,
            gid,
            home,
        })
    }
}

struct Group<'a> {
    name: &'a [u8],
    gid: u32,
    members: &'a [u8],
}

impl<'a> Group<'a> {
    /// `name:password:gid:members`
    fn parse(line: &'a [u8]) -> Option<Self> {
        let mut fields = line.split(|&byte| byte == b':');
        let name = fields.next()?;
        let gid = id(fields.nth(1)?).ok()??;
        let members = fields.next().unwrap_or_default();
        (!name.is_empty()).then_some(Self { name, gid, members })
    }
}

fn group_id(name: &[u8], group: &[u8]) -> Result<u32, UserError> {
    if let Some(gid) = id(name)? {
        return Ok(gid);
    }
    lines(group)
        .filter_map(Group::parse)
        .find(|found| found.name == name)
        .map(|found| found.gid)
        .ok_or_else(|| UserError::NoSuchGroup { name: name.into() })
}

/// A number as an id; `None` for what is no number and therefore a name.
fn id(text: &[u8]) -> Result<Option<u32>, UserError> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return Ok(None);
    }
    let range = || UserError::IdRange { id: text.into() };
    let text = std::str::from_utf8(text).map_err(|_| range())?;
    let id: u64 = text.parse().map_err(|_| range())?;
    if id > MAX_ID {
        return Err(range());
    }
    u32::try_from(id).map(Some).map_err(|_| range())
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty() && !line.starts_with(b"#"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/sh\n\
        # comment\nbroken\n\
        www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\n\
        1000:x:2000:2000::/home/number:\nada:x:1000:1000:Ada:/home/ada:/bin/sh\nlast:x:7:7";
    const GROUP: &[u8] = b"root:x:0:\nwww-data:x:33:\nssl:x:101:www-data,ada\n\
        audio:x:29:ada\nx:x:18446744073709551616:ada\n";

    fn resolve(user: &str) -> Result<(u32, u32, Vec<u32>, String), UserError> {
        let user = ResolvedUser::resolve(user.as_bytes(), &[], PASSWD, GROUP)?;
        Ok((user.uid, user.gid, user.groups, user.home.to_string()))
    }

    #[test]
    fn names_numbers_and_groups() {
        let home = |path: &str| path.to_owned();
        for (user, wanted) in [
            ("", (0, 0, vec![], home("/root"))),
            ("root", (0, 0, vec![], home("/root"))),
            ("www-data", (33, 33, vec![101], home("/var/www"))),
            ("33", (33, 33, vec![101], home("/var/www"))),
            ("ada", (1000, 1000, vec![29, 101], home("/home/ada"))),
            // A number is an id, whatever names there are.
            ("1000", (1000, 1000, vec![29, 101], home("/home/ada"))),
            ("ada:audio", (1000, 29, vec![], home("/home/ada"))),
            ("ada:5", (1000, 5, vec![], home("/home/ada"))),
            ("4242", (4242, 0, vec![], home("/"))),
            ("4242:www-data", (4242, 33, vec![], home("/"))),
            (":ssl", (0, 101, vec![], home("/root"))),
            ("last", (7, 7, vec![], home("/"))),
        ] {
            assert_eq!(resolve(user).unwrap(), wanted, "{user}");
        }
    }

    #[test]
    fn further_groups_are_added() {
        let groups = ["audio".into(), "77".into(), "101".into()];
        let user = ResolvedUser::resolve(b"www-data", &groups, PASSWD, GROUP).unwrap();
        assert_eq!(user.groups, [29, 77, 101]);
    }

    #[test]
    fn unknown_names_and_impossible_ids_are_errors() {
        for user in [
            "nobody",
            "ada:nogroup",
            "2147483648",
            "99999999999999999999",
            "0:4294967296",
        ] {
            assert!(resolve(user).is_err(), "{user}");
        }
        assert!(ResolvedUser::resolve(b"", &[], b"", b"").is_ok());
    }
}
