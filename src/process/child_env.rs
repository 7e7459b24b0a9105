//! Pure. The environment variables of a child: an allow-list, because the others may hold secrets that it does not need, or
//! change the behaviour of Node.

use std::ffi::{OsStr, OsString};

use crate::world::World;

/// Variables by which Node finds itself, speaks the user's language and reaches the network.
const FOR_ALL: [&str; 22] = [
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "TZ",
    "TMPDIR",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "ALL_PROXY",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "all_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    // Folders of version managers: the Node that their `node` on the PATH starts is there.
    "ASDF_DATA_DIR",
    "MISE_DATA_DIR",
    "NODENV_ROOT",
    "NVM_DIR",
    "VOLTA_HOME",
];

/// Additional variables of npm: the source and the cache of packages.
const FOR_NPM: [&str; 10] = [
    "npm_config_registry",
    "npm_config_cache",
    "npm_config_cafile",
    "npm_config_userconfig",
    "npm_config_globalconfig",
    "npm_config_proxy",
    "npm_config_https_proxy",
    "npm_config_noproxy",
    "npm_config_strict_ssl",
    "npm_config_ca",
];

/// Additional variables of the operator's command: the gateway's home, and the place where notifications are shown.
const FOR_NOTICE: [&str; 5] =
    ["DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "HERMES_HOME", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR"];

/// Returns the variables of the bridge. `HERMES_BRIDGE_…` are its own names.
pub(crate) fn for_bridge(world: &World) -> Vec<(OsString, OsString)> {
    chosen(world, |name| is_for_all(name) || name.starts_with("HERMES_BRIDGE_"))
}

/// Returns the variables of `node --version` and npm. npm reads its names in any case.
pub(crate) fn for_npm(world: &World) -> Vec<(OsString, OsString)> {
    chosen(world, |name| {
        let lower = name.to_ascii_lowercase();
        // `npm_config_//registry.example/:_authToken` and `npm_config_@scope:registry`.
        let is_of_registry = ["npm_config_//", "npm_config_@"].iter().any(|start| lower.starts_with(start));
        is_for_all(name) || is_of_registry || FOR_NPM.contains(&lower.as_str())
    })
}

/// Returns the variables of the operator's command: those by which a program finds itself and reaches the person's desktop.
pub(crate) fn for_notice(world: &World) -> Vec<(OsString, OsString)> {
    chosen(world, |name| is_for_all(name) || FOR_NOTICE.contains(&name))
}

/// Returns the variables of the agent's program: the common ones; others must be named in the settings.
pub(crate) fn for_agent(world: &World) -> Vec<(OsString, OsString)> {
    chosen(world, is_for_all)
}

fn is_for_all(name: &str) -> bool {
    FOR_ALL.contains(&name) || name.starts_with("LC_")
}

fn chosen(world: &World, is_allowed: impl Fn(&str) -> bool) -> Vec<(OsString, OsString)> {
    let allowed = |(name, _): &(&OsStr, &OsStr)| name.to_str().is_some_and(&is_allowed);
    world.vars().filter(allowed).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_gets_what_it_needs_and_no_secret_and_no_node_options() {
        let names = |env: Vec<(OsString, OsString)>| -> Vec<String> {
            env.into_iter().map(|(name, _)| name.into_string().unwrap()).collect()
        };
        let world = World::of_env(
            [
                "HERMES_BRIDGE_X",
                "HOME",
                "HERMES_HOME",
                "LC_ALL",
                "NODE_OPTIONS",
                "NPM_CONFIG_REGISTRY",
                "OPENAI_API_KEY",
                "PATH",
                "https_proxy",
                "npm_config_cache",
                "npm_config_script_shell",
            ]
            .map(|name| (name, "x")),
        );
        assert_eq!(names(for_bridge(&world)), ["HERMES_BRIDGE_X", "HOME", "LC_ALL", "PATH", "https_proxy"]);
        assert_eq!(
            names(for_npm(&world)),
            ["HOME", "LC_ALL", "NPM_CONFIG_REGISTRY", "PATH", "https_proxy", "npm_config_cache"]
        );
        assert_eq!(names(for_agent(&world)), ["HOME", "LC_ALL", "PATH", "https_proxy"]);
        assert_eq!(names(for_notice(&world)), ["HERMES_HOME", "HOME", "LC_ALL", "PATH", "https_proxy"]);
    }
}
