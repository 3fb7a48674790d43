package view

import (
	"bytes"
	"html/template"
	"reflect"
	"slices"
	"strings"
	"text/template/parse"
)

// code is a template after html/template has parsed and escaped it, compiled for
// the types of its data: fields are indexes instead of names, and the escaper is
// called directly. Its output is that of the template, in a tenth of the time or
// less.
//
// The compiler supports what pages without a form need: text, {{.Field}} of type
// string, if, with, range, template, and eq with a constant. It rejects a template
// with anything else.
type code []instruction

// instruction writes one piece of a page whose data is dot.
type instruction func(out *bytes.Buffer, dot reflect.Value)

func (c code) run(out *bytes.Buffer, dot reflect.Value) {
	for _, write := range c {
		write(out, dot)
	}
}

// fieldPath leads from dot to one of its fields, or to a field of a field.
type fieldPath []int

func (p fieldPath) of(v reflect.Value) reflect.Value {
	for _, i := range p {
		if v = v.Field(i); v.Kind() == reflect.Interface {
			v = v.Elem()
		}
	}
	return v
}

// empty reports whether {{if}} treats v as false, for the kinds that canBeEmpty
// accepts.
func empty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice:
		return v.Len() == 0
	case reflect.Struct:
		return false
	default:
		return v.IsZero()
	}
}

// canBeEmpty reports whether the compiler knows when {{if}} treats a value of this
// kind as false.
func canBeEmpty(k reflect.Kind) bool {
	switch k {
	case reflect.String, reflect.Bool, reflect.Int, reflect.Slice, reflect.Struct:
		return true
	default:
		return false
	}
}

// compiler turns the parse tree of an escaped template into code for Data of
// these types.
type compiler struct {
	set    *template.Template
	types  dataTypes
	escape *strings.Replacer
	open   []string // templates that are being compiled, to refuse recursion
}

// compile returns false if the template has something that the compiler does not
// support.
func compile(t *template.Template, types dataTypes) (code, bool) {
	c := compiler{set: t, types: types, escape: strings.NewReplacer(
		// The replacements of html/template in text and in quoted attributes.
		"\x00", "\uFFFD", `"`, "&#34;", "&", "&amp;", "'", "&#39;", "+", "&#43;", "<", "&lt;", ">", "&gt;",
	)}
	return c.list(t.Tree.Root, reflect.TypeFor[Data]())
}

// list compiles nodes for a dot of the given type; nil is the dot of a template
// that was called without one.
func (c *compiler) list(nodes *parse.ListNode, dot reflect.Type) (code, bool) {
	if nodes == nil {
		return nil, true
	}
	list := make(code, 0, len(nodes.Nodes))
	for _, node := range nodes.Nodes {
		i, ok := c.node(node, dot)
		if !ok {
			return nil, false
		}
		list = append(list, i)
	}
	return list, true
}

func (c *compiler) node(node parse.Node, dot reflect.Type) (instruction, bool) {
	switch n := node.(type) {
	case *parse.TextNode:
		return func(out *bytes.Buffer, _ reflect.Value) { out.Write(n.Text) }, true
	case *parse.ActionNode:
		return c.field(n.Pipe, dot)
	case *parse.IfNode:
		return c.branch(&n.BranchNode, dot, false)
	case *parse.WithNode:
		return c.branch(&n.BranchNode, dot, true)
	case *parse.RangeNode:
		return c.loop(&n.BranchNode, dot)
	case *parse.TemplateNode:
		return c.call(n, dot)
	default:
		return nil, false
	}
}

func (c *compiler) field(pipe *parse.PipeNode, dot reflect.Type) (instruction, bool) {
	if len(pipe.Decl) > 0 || len(pipe.Cmds) != 2 || len(pipe.Cmds[0].Args) != 1 {
		return nil, false
	}
	path, kind, ok := c.path(pipe.Cmds[0].Args[0], dot)
	switch pipe.Cmds[1].String() {
	case "_html_template_htmlescaper", "_html_template_attrescaper", "_html_template_rcdataescaper":
		// These three do the same to a string.
	default:
		ok = false
	}
	return func(out *bytes.Buffer, dot reflect.Value) {
		_, _ = c.escape.WriteString(out, path.of(dot).String()) // a bytes.Buffer returns no error
	}, ok && kind == reflect.TypeFor[string]()
}

// branch compiles {{if}}, and {{with}}, which sets dot.
func (c *compiler) branch(n *parse.BranchNode, dot reflect.Type, setsDot bool) (instruction, bool) {
	if len(n.Pipe.Decl) > 0 || len(n.Pipe.Cmds) != 1 {
		return nil, false
	}
	args := n.Pipe.Cmds[0].Args
	var constant *parse.StringNode // what the field is compared with; nil: test whether it is empty
	if len(args) == 3 && args[0].String() == "eq" && !setsDot {
		var ok bool
		if constant, ok = args[2].(*parse.StringNode); !ok {
			return nil, false
		}
		args = args[1:2]
	}
	if len(args) != 1 {
		return nil, false
	}
	path, value, ok := c.path(args[0], dot)
	if !ok || !canBeEmpty(value.Kind()) || constant != nil && value != reflect.TypeFor[string]() {
		return nil, false
	}
	inside := dot
	if setsDot {
		inside = value
	}
	then, ok := c.list(n.List, inside)
	otherwise, okElse := c.list(n.ElseList, dot)
	return func(out *bytes.Buffer, dot reflect.Value) {
		value := path.of(dot)
		holds := !empty(value)
		if constant != nil {
			holds = value.String() == constant.Text
		}
		switch {
		case !holds:
			otherwise.run(out, dot)
		case setsDot:
			then.run(out, value)
		default:
			then.run(out, dot)
		}
	}, ok && okElse
}

func (c *compiler) loop(n *parse.BranchNode, dot reflect.Type) (instruction, bool) {
	path, list, ok := c.argument(n.Pipe, dot)
	if !ok || list.Kind() != reflect.Slice {
		return nil, false
	}
	each, ok := c.list(n.List, list.Elem())
	none, okNone := c.list(n.ElseList, dot)
	return func(out *bytes.Buffer, dot reflect.Value) {
		list := path.of(dot)
		for n := range list.Len() {
			each.run(out, list.Index(n))
		}
		if list.Len() == 0 {
			none.run(out, dot)
		}
	}, ok && okNone
}

func (c *compiler) call(n *parse.TemplateNode, dot reflect.Type) (instruction, bool) {
	called := c.set.Lookup(n.Name)
	if called == nil || called.Tree == nil || slices.Contains(c.open, n.Name) {
		return nil, false
	}
	c.open = append(c.open, n.Name)
	defer func() { c.open = c.open[:len(c.open)-1] }()
	var path fieldPath
	var argument reflect.Type
	if n.Pipe != nil {
		var ok bool
		if path, argument, ok = c.argument(n.Pipe, dot); !ok {
			return nil, false
		}
	}
	body, ok := c.list(called.Tree.Root, argument)
	return func(out *bytes.Buffer, dot reflect.Value) { body.run(out, path.of(dot)) }, ok
}

// argument is the one field that a pipeline consists of.
func (c *compiler) argument(pipe *parse.PipeNode, dot reflect.Type) (fieldPath, reflect.Type, bool) {
	if len(pipe.Decl) > 0 || len(pipe.Cmds) != 1 || len(pipe.Cmds[0].Args) != 1 {
		return nil, nil, false
	}
	return c.path(pipe.Cmds[0].Args[0], dot)
}

// path finds the field that node names, seen from dot.
func (c *compiler) path(node parse.Node, dot reflect.Type) (fieldPath, reflect.Type, bool) {
	if dot == nil {
		return nil, nil, false
	}
	if node.Type() == parse.NodeDot {
		return nil, dot, true
	}
	chain, ok := node.(*parse.FieldNode)
	if !ok {
		return nil, nil, false
	}
	var path fieldPath
	for _, name := range chain.Ident {
		if dot.Kind() != reflect.Struct {
			return nil, nil, false
		}
		// Methods and fields of embedded structs are not supported.
		found, ok := dot.FieldByName(name)
		if !ok || len(found.Index) != 1 || !found.IsExported() {
			return nil, nil, false
		}
		switch {
		case dot != reflect.TypeFor[Data]():
			dot = found.Type
		case name == "Layout":
			dot = c.types.layout
		default:
			dot = c.types.page
		}
		path = append(path, found.Index[0])
	}
	return path, dot, true
}
