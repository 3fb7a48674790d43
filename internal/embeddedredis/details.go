package embeddedredis

import (
	"cmp"
	"slices"
	"strings"
)

// commandDetails answers COMMAND. redis-cli asks for DOCS when it begins, and
// shows them as hints.
func commandDetails(c *client, _ store, args [][]byte) error {
	all := c.server.sortedCommands()
	if len(args) == 0 {
		c.array(len(all))
		for _, command := range all {
			c.details(command)
		}
		return nil
	}
	named := args[1:]
	switch {
	case is(args[0], "count") && len(named) == 0:
		c.integer(int64(len(all)))
	case is(args[0], "list") && len(named) == 0:
		c.array(len(all))
		for _, command := range all {
			c.text(command.name)
		}
	case is(args[0], "info"):
		if len(named) == 0 {
			return commandDetails(c, store{}, nil)
		}
		c.array(len(named))
		for _, name := range named {
			if found := c.server.commands[strings.ToLower(string(name))]; found != nil {
				c.details(found)
			} else {
				c.null()
			}
		}
	case is(args[0], "docs"):
		if len(named) > 0 {
			all = slices.DeleteFunc(all, func(command *command) bool {
				return !slices.ContainsFunc(named, func(name []byte) bool { return is(name, command.name) })
			})
		}
		c.array(2 * len(all))
		for _, command := range all {
			c.docs(command)
		}
	default:
		return unknown([]byte("COMMAND"), args[0])
	}
	return nil
}

func (s *Server) sortedCommands() []*command {
	all := make([]*command, 0, len(s.commands))
	for _, command := range s.commands {
		all = append(all, command)
	}
	slices.SortFunc(all, func(a, b *command) int { return cmp.Compare(a.name, b.name) })
	return all
}

func (c *client) details(of *command) {
	c.array(10)
	c.text(of.name)
	c.integer(int64(of.arity))
	switch {
	case of.flags&writes != 0:
		c.array(1)
		c.status("write")
	case of.flags&reads != 0:
		c.array(1)
		c.status("readonly")
	default:
		c.array(0)
	}
	first, last, step := int64(1), int64(of.keys), int64(1)
	switch of.keys {
	case 0:
		first, step = 0, 0
	case -2:
		last, step = -1, 2
	}
	c.integer(first)
	c.integer(last)
	c.integer(step)
	for range 4 { // categories of access, tips, key specifications, subcommands
		c.array(0)
	}
}

func (c *client) docs(of *command) {
	c.text(of.name)
	arguments := splitSyntax(of.syntax)
	fields := 3
	if len(arguments) > 0 {
		fields++
	}
	c.array(2 * fields)
	c.pair("summary", of.summary)
	c.pair("since", of.since)
	c.pair("group", of.group)
	if len(arguments) == 0 {
		return
	}
	c.text("arguments")
	c.array(len(arguments))
	for _, argument := range arguments {
		c.array(4)
		c.pair("name", argument)
		c.pair("type", "string")
	}
}

func (c *client) pair(name, value string) {
	c.text(name)
	c.text(value)
}

// splitSyntax cuts "key [NX | XX]" into "key" and "[NX | XX]".
func splitSyntax(syntax string) []string {
	var parts []string
	depth, begin := 0, 0
	for i, r := range syntax + " " {
		switch {
		case r == '[':
			depth++
		case r == ']':
			depth--
		case r == ' ' && depth == 0:
			if i > begin {
				parts = append(parts, syntax[begin:i])
			}
			begin = i + 1
		}
	}
	return parts
}
