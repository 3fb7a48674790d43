package embeddedredis

import "strings"

// version is that of the Redis whose answers these are. Clients read from it
// which commands and which protocol to expect.
const version = "7.0.0"

func connectionCommands() []command {
	return []command{
		{"auth", -2, secret, 0, "connection", "1.0.0", "[username] password", "Authenticates the connection; there is no password here.", auth},
		{"client", -2, 0, 0, "connection", "2.4.0", "GETNAME | ID | INFO | LIST | SETINFO option value | SETNAME name", "Tells and sets what is known of connections.", clients},
		{"discard", 1, atOnce, 0, "transactions", "2.0.0", "", "Drops a transaction.", discard},
		{"echo", 2, 0, 0, "connection", "1.0.0", "message", "Returns the message.", echo},
		{"exec", 1, atOnce | unseen, 0, "transactions", "1.2.0", "", "Carries out a transaction.", exec},
		{"hello", -1, secret, 0, "connection", "6.0.0", "[protover [AUTH username password] [SETNAME clientname]]", "Tells which server this is. It speaks RESP2.", hello},
		{"multi", 1, atOnce, 0, "transactions", "1.2.0", "", "Begins a transaction.", multi},
		{"ping", -1, 0, 0, "connection", "1.0.0", "[message]", "Returns PONG or the message.", ping},
		{"quit", -1, atOnce, 0, "connection", "1.0.0", "", "Closes the connection.", quit},
		{"reset", 1, atOnce, 0, "connection", "6.2.0", "", "Ends MONITOR and a transaction, and forgets the connection's name.", reset},
		{"select", 2, 0, 0, "connection", "1.0.0", "index", "Chooses a database; there is number 0 alone.", selectDatabase},
	}
}

func ping(c *client, _ store, args [][]byte) error {
	switch len(args) {
	case 0:
		c.status("PONG")
	case 1:
		c.bulk(args[0])
	default:
		return wrongNumber("ping")
	}
	return nil
}

func echo(c *client, _ store, args [][]byte) error {
	c.bulk(args[0])
	return nil
}

func quit(c *client, _ store, _ [][]byte) error {
	c.leaving = true
	c.status("OK")
	return nil
}

func reset(c *client, _ store, _ [][]byte) error {
	c.endMulti()
	if c.watching.Swap(false) {
		c.server.monitors.remove(c)
	}
	c.mu.Lock()
	c.name = ""
	c.mu.Unlock()
	c.status("RESET")
	return nil
}

func selectDatabase(c *client, _ store, args [][]byte) error {
	n, err := integer(args[0])
	if err != nil {
		return err
	}
	if n != 0 {
		return reply("ERR DB index is out of range")
	}
	c.status("OK")
	return nil
}

// auth answers as a Redis whose default user needs no password.
func auth(c *client, _ store, args [][]byte) error {
	switch {
	case len(args) == 1:
		return reply("ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?")
	case len(args) > 2:
		return errSyntax
	}
	if err := authenticate(args[0]); err != nil {
		return err
	}
	c.status("OK")
	return nil
}

func authenticate(username []byte) error {
	if string(username) != "default" {
		return reply("WRONGPASS invalid username-password pair or user is disabled.")
	}
	return nil
}

// hello refuses RESP3, as a server older than it does (NOPROTO in the
// documentation of HELLO); clients then stay with RESP2.
func hello(c *client, _ store, args [][]byte) error {
	var name []byte
	if len(args) > 0 {
		protocol, err := integer(args[0])
		if err != nil {
			return reply("ERR Protocol version is not an integer or out of range")
		}
		if protocol != 2 {
			return reply("NOPROTO unsupported protocol version")
		}
		for options := args[1:]; len(options) > 0; {
			switch {
			case is(options[0], "auth") && len(options) > 2:
				if err := authenticate(options[1]); err != nil {
					return err
				}
				options = options[3:]
			case is(options[0], "setname") && len(options) > 1:
				name, options = options[1], options[2:]
			default:
				return reply("ERR Syntax error in HELLO option '" + string(options[0]) + "'")
			}
		}
	}
	if name != nil {
		if err := c.rename(name); err != nil {
			return err
		}
	}
	c.array(14)
	c.text("server")
	c.text("redis")
	c.text("version")
	c.text(version)
	c.text("proto")
	c.integer(2)
	c.text("id")
	c.integer(c.id)
	c.text("mode")
	c.text("standalone")
	c.text("role")
	c.text("master")
	c.text("modules")
	c.array(0)
	return nil
}

func clients(c *client, _ store, args [][]byte) error {
	switch sub, more := args[0], args[1:]; {
	case is(sub, "id") && len(more) == 0:
		c.integer(c.id)
	case is(sub, "getname") && len(more) == 0:
		if c.name == "" {
			c.null()
		} else {
			c.text(c.name)
		}
	case is(sub, "setname") && len(more) == 1:
		if err := c.rename(more[0]); err != nil {
			return err
		}
		c.status("OK")
	case is(sub, "setinfo") && len(more) == 2:
		if err := c.setInfo(more[0], more[1]); err != nil {
			return err
		}
		c.status("OK")
	case is(sub, "info") && len(more) == 0:
		c.text(c.describe() + "\n")
	case is(sub, "list") && len(more) == 0:
		var list strings.Builder
		for _, c := range c.server.connected() {
			list.WriteString(c.describe() + "\n")
		}
		c.text(list.String())
	default:
		return unknown(append([][]byte{[]byte("CLIENT")}, args...)...)
	}
	return nil
}

func (c *client) rename(name []byte) error {
	if !plain(name) {
		return reply("ERR Client names cannot contain spaces, newlines or special characters.")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.name = string(name)
	return nil
}

func (c *client) setInfo(option, value []byte) error {
	if !plain(value) {
		return reply("ERR " + string(option) + " cannot contain spaces, newlines or special characters.")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case is(option, "lib-name"):
		c.libName = string(value)
	case is(option, "lib-ver"):
		c.libVersion = string(value)
	default:
		return reply("ERR Unrecognized option '" + string(option) + "'")
	}
	return nil
}

// plain reports whether a name breaks no line of CLIENT LIST.
func plain(name []byte) bool {
	for _, b := range name {
		if b < '!' || b > '~' {
			return false
		}
	}
	return true
}
