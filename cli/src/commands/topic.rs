//! Help topics, shown by `mosaic help TOPIC`.

/// A topic is its text alone.
pub(super) const TEMPLATE: &str = "{about}\n";

/// `mosaic help exit-codes`.
pub(super) const EXIT_CODES: &str = "\
0    ok                done, or nothing to do
1    error             anything not below
2    usage             bad flag, missing argument, input needed but no terminal
3    partial           some targets done, some not; status --check says no
4    denied            a rule, a signature or a right does not allow it
5    retry             no peer reachable: try again later
10   no_identity       run mosaic init
11   locked            another process holds the store
12   wrong_passphrase  the passphrase does not open the keys, or none was given
13   not_found         no such id or name
14   ambiguous         a prefix or name fits several; they are listed
15   conflict          already there, used up, expired
16   corrupt           a hash or signature check of stored data failed
17   no_node           the command needs a node, or --node does not answer
124  timeout           --timeout ran out
130  interrupted       Ctrl-C

Codes not listed are failures too; more may be added.
";

/// `mosaic help json`.
pub(super) const JSON: &str = "\
With --json every command prints JSON Lines on stdout: one object a line, \"type\" first.
Errors, notices and progress are objects on stderr; an error has code, name, message and
hint, and its code is the exit code.

Ids are full. Times are RFC 3339 in UTC. Sizes end in _bytes, durations in _ms. An absent
field is unknown or was not asked for; null is never used. Within a major version fields
are only added: ignore those you do not know, and expect new values where names are listed.
The schemas: mosaic api --openapi.

What is a document or a script is printed as it is, with and without --json: export atom, json
and html, completion, api --openapi.

--jq PROGRAM runs a jq program on each record (and implies --json); strings are printed bare:

    mosaic feed --jq '.author_name + \": \" + .text'

A program that is not understood is code 2, and nothing was done; one that fails on a record
is code 1 and ends the output, though what the command did stays done. It ends as well when it
gives no value for 10 s (code 124) or takes more than 1 GiB.
";

/// `mosaic help environment`.
pub(super) const ENVIRONMENT: &str = "\
MOSAIC_HOME      folder that holds everything; the same as --home
MOSAIC_NODE      socket of the node; the same as --node
MOSAIC_NO_INPUT  never ask; the same as --no-input
MOSAIC_JSON      print JSON Lines; the same as --json
MOSAIC_QUIET     say nothing but errors; the same as --quiet
MOSAIC_COLOR     auto, always or never; the same as --color
MOSAIC_TIMEOUT   give up after so long; the same as --timeout
MOSAIC_NO_PAGER  no pager; the same as --no-pager
MOSAIC_PAGER     pager for long output on a terminal; before PAGER; empty or cat: none
MOSAIC_PASSPHRASE_FILE
                 file of the passphrase; the same as --passphrase-file
MOSAIC_STATE     folder of what must not travel with a copied home
MOSAIC_<KEY>     a setting, for example MOSAIC_NODE_LAN; see mosaic config list
MOSAIC_LOG       filter of the log, for example info,mosaic_node=debug; before -v
NO_COLOR         no colour; --color always overrides it
VISUAL, EDITOR   editor of --edit
TZ               time zone of times without one
XDG_DATA_HOME    holds the home if there is no --home
XDG_CONFIG_HOME  holds the settings of a home that has no name
XDG_STATE_HOME   holds the state folder if there is no MOSAIC_STATE
";

/// `mosaic help addresses`.
pub(super) const ADDRESSES: &str = "\
@bob             somebody you follow, by the name that you gave: mosaic follow ACCOUNT --as bob
9f3a01c2         an account, post, comment, draft, document or device, by any unique start of
                 its id of at least four digits; what fits several ends with code 14 and a list
phone            a device of yours, or a peer, by its name
Makers/general   a channel: its hub and its name; each by name or by any unique start of its id
mosaiclink...    a ticket: lets one new device join your account (mosaic device invite)
mosaicnode...    a ticket: where a node is (mosaic node ticket)
mosaichub...     a ticket: lets accounts join a hub (mosaic hub invite)
-                ids or text from standard input: ids one a line, the first column of a table

Ids are 64 hexadecimal digits, of drafts 32. A terminal shows the first eight; pipes and --json
have them in full.
";

/// `mosaic help offline`.
pub(super) const OFFLINE: &str = "\
Everything you read and write is on this computer. No command but those of a node, watch, sync
and device link needs a network or a running node; without one they open the store themselves.

What you write waits here until a device, a hub or a friend that keeps your wall is met: by
mosaic sync, or by itself while a node runs. mosaic sync status says what is missing where.
What was written on two devices at once is merged when they meet: posts and comments are all
kept; of two edits of one text the same one is shown everywhere, and --conflicts shows the other.

A deleted post disappears wherever the deletion arrives. Copies made before, or kept by somebody
who does not want to know, may remain: nobody can take back what others have read.
";

#[cfg(test)]
mod tests {
    use mosaic_node::api::types::ErrorKind;

    use super::*;

    #[test]
    fn the_table_names_every_code() {
        for kind in ErrorKind::ALL {
            let line = EXIT_CODES.lines().find(|line| {
                line.split_whitespace().next() == Some(kind.code().to_string().as_str())
            });
            let line = line.unwrap_or_default();
            assert_eq!(line.split_whitespace().nth(1), Some(kind.name()), "{line}");
        }
    }
}
