package web

import (
	"bytes"
	"html/template"
	"reflect"
	"strings"
	"text/template/parse"
)

// A program is a page's template after html/template has parsed and escaped it,
// laid out for one type of page: fields are positions, not names, and an escaper
// is called, not looked up and called by reflection. It writes what the template
// would write, byte for byte, in a tenth of the time or less.
//
// Only what pages with no form in them need is known here: text, {{.Field}} of
// type string, if, with, range, template, and eq with a constant. A template
// with anything else has no program and is run by html/template itself.
type program []step

// step writes one piece of a page whose data is dot.
type step interface {
	run(out *bytes.Buffer, dot reflect.Value)
}

func (p program) run(out *bytes.Buffer, dot reflect.Value) {
	for _, s := range p {
		s.run(out, dot)
	}
}

type (
	// literal is text as it stands.
	literal string
	// hole is where a string goes, escaped.
	hole struct {
		at     position
		escape *strings.Replacer
	}
	// fork is {{if}}, and {{with}} when it moves dot.
	fork struct {
		at        position
		constant  *string // what the field is compared with; nil: whether it is empty
		moves     bool
		then, not program
	}
	// loop is {{range}}.
	loop struct {
		at         position
		each, none program
	}
	// move is {{template}}: the same steps, another dot.
	move struct {
		at   position
		then program
	}
)

func (s literal) run(out *bytes.Buffer, _ reflect.Value) { out.WriteString(string(s)) }

func (s hole) run(out *bytes.Buffer, dot reflect.Value) {
	_, _ = s.escape.WriteString(out, s.at.of(dot).String()) // a bytes.Buffer takes everything
}

func (s fork) run(out *bytes.Buffer, dot reflect.Value) {
	field := s.at.of(dot)
	holds := !empty(field)
	if s.constant != nil {
		holds = field.String() == *s.constant
	}
	switch {
	case !holds:
		s.not.run(out, dot)
	case s.moves:
		s.then.run(out, field)
	default:
		s.then.run(out, dot)
	}
}

func (s loop) run(out *bytes.Buffer, dot reflect.Value) {
	list := s.at.of(dot)
	for i := range list.Len() {
		s.each.run(out, list.Index(i))
	}
	if list.Len() == 0 {
		s.none.run(out, dot)
	}
}

func (s move) run(out *bytes.Buffer, dot reflect.Value) { s.then.run(out, s.at.of(dot)) }

// position leads from dot to a field, or to a field of a field.
type position []int

func (p position) of(v reflect.Value) reflect.Value {
	for _, i := range p {
		if v = v.Field(i); v.Kind() == reflect.Interface {
			v = v.Elem()
		}
	}
	return v
}

// empty is what {{if}} takes for false. A struct never is.
func empty(v reflect.Value) bool {
	if v.Kind() == reflect.Slice {
		return v.Len() == 0
	}
	return v.Kind() != reflect.Struct && v.IsZero()
}

// translator turns the parse tree of an escaped template into a program for
// views that hold one type of page.
type translator struct {
	set    *template.Template
	page   reflect.Type
	escape *strings.Replacer
}

// translate returns the program for views of page, or false when the template
// has something in it that no program can do.
func translate(t *template.Template, page reflect.Type) (program, bool) {
	tr := translator{set: t, page: page, escape: strings.NewReplacer(
		// What html/template writes for these in text and in quoted attributes.
		"\x00", "\uFFFD", `"`, "&#34;", "&", "&amp;", "'", "&#39;", "+", "&#43;", "<", "&lt;", ">", "&gt;",
	)}
	return tr.list(t.Tree.Root, reflect.TypeFor[view]())
}

func (tr translator) list(nodes *parse.ListNode, dot reflect.Type) (program, bool) {
	if nodes == nil {
		return nil, true
	}
	p := make(program, 0, len(nodes.Nodes))
	for _, node := range nodes.Nodes {
		s, ok := tr.node(node, dot)
		if !ok {
			return nil, false
		}
		p = append(p, s)
	}
	return p, true
}

func (tr translator) node(node parse.Node, dot reflect.Type) (step, bool) {
	switch n := node.(type) {
	case *parse.TextNode:
		return literal(n.Text), true
	case *parse.ActionNode:
		return tr.hole(n.Pipe, dot)
	case *parse.IfNode:
		return tr.fork(&n.BranchNode, dot, false)
	case *parse.WithNode:
		return tr.fork(&n.BranchNode, dot, true)
	case *parse.RangeNode:
		return tr.loop(&n.BranchNode, dot)
	case *parse.TemplateNode:
		return tr.move(n, dot)
	default:
		return nil, false
	}
}

func (tr translator) hole(pipe *parse.PipeNode, dot reflect.Type) (step, bool) {
	if len(pipe.Decl) > 0 || len(pipe.Cmds) != 2 || len(pipe.Cmds[0].Args) != 1 {
		return nil, false
	}
	at, field, ok := tr.position(pipe.Cmds[0].Args[0], dot)
	switch pipe.Cmds[1].String() {
	case "_html_template_htmlescaper", "_html_template_attrescaper", "_html_template_rcdataescaper":
		// These three do the same to a string.
	default:
		ok = false
	}
	return hole{at, tr.escape}, ok && field == reflect.TypeFor[string]()
}

func (tr translator) fork(n *parse.BranchNode, dot reflect.Type, moves bool) (step, bool) {
	s := fork{moves: moves}
	if len(n.Pipe.Decl) > 0 || len(n.Pipe.Cmds) != 1 {
		return nil, false
	}
	args := n.Pipe.Cmds[0].Args
	if len(args) == 3 && args[0].String() == "eq" && !moves {
		constant, ok := args[2].(*parse.StringNode)
		if !ok {
			return nil, false
		}
		s.constant, args = &constant.Text, args[1:2]
	}
	if len(args) != 1 {
		return nil, false
	}
	at, field, ok := tr.position(args[0], dot)
	if !ok || s.constant != nil && field != reflect.TypeFor[string]() {
		return nil, false
	}
	s.at = at
	inside := dot
	if moves {
		inside = field
	}
	var then, not bool
	s.then, then = tr.list(n.List, inside)
	s.not, not = tr.list(n.ElseList, dot)
	return s, then && not
}

func (tr translator) loop(n *parse.BranchNode, dot reflect.Type) (step, bool) {
	if len(n.Pipe.Decl) > 0 || len(n.Pipe.Cmds) != 1 || len(n.Pipe.Cmds[0].Args) != 1 {
		return nil, false
	}
	at, field, ok := tr.position(n.Pipe.Cmds[0].Args[0], dot)
	if !ok || field.Kind() != reflect.Slice {
		return nil, false
	}
	each, ok := tr.list(n.List, field.Elem())
	none, okNone := tr.list(n.ElseList, dot)
	return loop{at, each, none}, ok && okNone
}

func (tr translator) move(n *parse.TemplateNode, dot reflect.Type) (step, bool) {
	called := tr.set.Lookup(n.Name)
	if called == nil || called.Tree == nil {
		return nil, false
	}
	if n.Pipe == nil { // no data: nothing in it can be a field
		dot = reflect.TypeFor[struct{}]()
		then, ok := tr.list(called.Tree.Root, dot)
		return move{nil, then}, ok
	}
	if len(n.Pipe.Decl) > 0 || len(n.Pipe.Cmds) != 1 || len(n.Pipe.Cmds[0].Args) != 1 {
		return nil, false
	}
	at, field, ok := tr.position(n.Pipe.Cmds[0].Args[0], dot)
	if !ok {
		return nil, false
	}
	then, ok := tr.list(called.Tree.Root, field)
	return move{at, then}, ok
}

// position finds the field that node names, seen from dot.
func (tr translator) position(node parse.Node, dot reflect.Type) (position, reflect.Type, bool) {
	if node.Type() == parse.NodeDot {
		return nil, dot, true
	}
	chain, ok := node.(*parse.FieldNode)
	if !ok {
		return nil, nil, false
	}
	var at position
	for _, name := range chain.Ident {
		if dot.Kind() != reflect.Struct {
			return nil, nil, false
		}
		field, ok := dot.FieldByName(name)
		if !ok || len(field.Index) != 1 {
			return nil, nil, false
		}
		at, dot = append(at, field.Index[0]), field.Type
		if dot.Kind() == reflect.Interface {
			dot = tr.page
		}
	}
	return at, dot, true
}
