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
	Serve        struct{} `cmd:"" default:"withargs" help:"Serve the application; what happens when no command is given."`
	Migrate      struct{} `cmd:"" help:"Bring the database to the form that this version needs."`
	RestartCheck struct{} `cmd:"" help:"Try which session stores outlive the server, and show a table."`
	Healthcheck  struct{} `cmd:"" help:"Ask the server that these settings describe whether it is alive."`
	Version      struct{} `cmd:"" help:"Say which version this is."`
}
