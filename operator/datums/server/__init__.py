"""The REST API and the web page. Built with the server's own work."""
