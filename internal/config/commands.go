package config

// Command is what to do. Name is the command with its subcommand ("serve",
// "sessions end"); the field of that name in Commands has its own flags.
type Command struct {
	Name string
	Commands
}

// Commands is every command with the flags that belong to it alone; each also
// takes all settings. A new command is one field here.
type Commands struct {
	Serve        Serve        `cmd:"" default:"withargs" help:"Serve the application; what happens when no command is given."`
	Migrate      struct{}     `cmd:"" help:"Bring the database to the form that this version needs."`
	Users        Users        `cmd:"" help:"List, show, add, disable and enable people."`
	Sessions     Sessions     `cmd:"" help:"List and end people's sessions."`
	RestartCheck RestartCheck `cmd:"" help:"Try which session stores outlive the server, and show a table."`
	Healthcheck  struct{}     `cmd:"" help:"Ask the server that these settings describe whether it is alive."`
	Version      struct{}     `cmd:"" help:"Say which version this is."`
}

// Serve is the flags of the command serve.
type Serve struct {
	StopWithStdin bool `hidden:"" help:"Stop in good order when the standard input ends: for a program that starts this one and must not leave it behind."`
	Uncounted     bool `hidden:"" help:"Count no server start, and go by the latest one: for a server that is started beside another to be compared with it."`
	LabSessions   int  `hidden:"" default:"2000" help:"Sessions that the check on /lab makes of each kind: fewer for a test whose subject is something else."`
}

// RestartCheck is the flags of the command restart-check.
type RestartCheck struct {
	Sessions int  `default:"10000" placeholder:"NUMBER" help:"Sessions to make when measuring what one takes; 10000 if not given."`
	JSON     bool `name:"json" xor:"form" help:"Print the report as JSON."`
	Markdown bool `xor:"form" help:"Print the table in Markdown."`
}

// Users is the commands about people.
type Users struct {
	List struct{} `cmd:"" help:"List all people."`
	Show ByEmail  `cmd:"" help:"Show one person."`
	Add  struct {
		ByEmail
		Name string `required:"" help:"What the person is called."`
	} `cmd:"" help:"Add a person; the password is read from the standard input, one line."`
	Disable   ByEmail `cmd:"" help:"Keep a person from logging in, and end all their sessions at once."`
	Enable    ByEmail `cmd:"" help:"Let a disabled person log in again."`
	ResetLink ByEmail `cmd:"" name:"reset-link" help:"Print a link with which a person chooses a new password."`
}

// Sessions is the commands about sessions.
type Sessions struct {
	List ByEmail `cmd:"" help:"List a person's live sessions."`
	End  struct {
		ByEmail
		ID string `required:"" help:"The session's id, as sessions list shows it."`
	} `cmd:"" help:"End one session of a person."`
	EndAll struct {
		Email     string `xor:"who" required:"" help:"E-mail address of the person."`
		Everybody bool   `xor:"who" required:"" help:"End the sessions of all people."`
	} `cmd:"" help:"End all sessions of a person, or of everybody."`
}

// ByEmail names a person.
type ByEmail struct {
	Email string `required:"" help:"E-mail address of the person."`
}
