"""How clients reach the house from outside: REST and WebSocket, signed with their keys, translated to the door and back."""
